-- The loss did not go down.
--
-- severity:   info
-- role:       symptom
-- confidence: probable
-- claim:      The loss went from {expected} to {observed} over {steps} steps.
-- clean:      the loss (from {expected} to {observed})
-- needs:      steps
-- nothing:    a loss of eight steps or more
-- fix:        find why in the causes above; where there are none, train longer or at a higher rate, and look at forensics query training-steps
-- harmless:   a warm-up, or a model that knows its data already: told as info; a loss that rises far beyond its noise is a warning
-- fires on:   zoo/large-full
WITH s AS (
    SELECT model, step, loss, count(*) OVER w AS n, row_number() OVER (PARTITION BY model ORDER BY step) AS i FROM steps
    WHERE run = run_of(b) AND NOT isnan(loss) AND NOT isinf(loss) WINDOW w AS (PARTITION BY model)
), t AS (
    SELECT model, any_value(n) AS n, avg(loss) FILTER (i <= greatest(n // 4, 2)) AS first, avg(loss) FILTER (i > n - greatest(n // 4, 2)) AS last,
        stddev_samp(loss) FILTER (i <= greatest(n // 4, 2)) AS a_, stddev_samp(loss) FILTER (i > n - greatest(n // 4, 2)) AS b_, greatest(any_value(n) // 4, 2) AS k
    FROM s GROUP BY model HAVING any_value(n) >= 8
), u AS (SELECT *, sqrt((coalesce(a_, 0) ** 2 + coalesce(b_, 0) ** 2) / k) AS noise FROM t)
SELECT 'loss of ' || model AS subject, round(last, 4) AS observed, round(first, 4) AS expected, last >= first - noise AS fault,
    CASE WHEN last > first + 10 * noise AND last > 1.5 * first AND first > 0 THEN 'warning' ELSE 'info' END AS severity, n AS steps
FROM u
ORDER BY fault DESC, subject
