-- The loss is the same number at every step.
--
-- severity:   warning
-- role:       symptom
-- confidence: certain
-- claim:      The loss was {observed} at each of {steps} steps, to the bit.
-- clean:      the loss ({steps} steps, {different} values)
-- needs:      steps
-- nothing:    a loss of three steps or more
-- fix:        find why nothing was learned in the causes above; where there are none, ask whether the loss depends on what is trained
WITH s AS (
    SELECT model, count(loss) AS n, count(DISTINCT loss) AS different, min(loss) AS loss FROM steps
    WHERE run = run_of(b) AND NOT isnan(loss) GROUP BY model HAVING count(loss) >= 3
)
SELECT 'loss of ' || model AS subject, loss AS observed, 'a loss that changes' AS expected, different = 1 AS fault, n AS steps, different
FROM s
ORDER BY fault DESC, subject
