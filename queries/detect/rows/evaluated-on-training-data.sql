-- What was measured had been trained on.
--
-- severity:   warning
-- role:       cause
-- confidence: strong
-- explains:   score-dropped
-- claim:      {observed}.
-- clean:      what was measured ({observed})
-- needs:      run
-- reads:      asked_after
-- nothing:    an evaluation, or three questions to the trained model
-- params:     a, b, least = 3, many = 8
-- fix:        hold rows back before training (train, held = rows[:-n], rows[-n:]), and measure on these alone
-- harmless:   a few trained questions asked as a demonstration (told as info)
-- fires on:   zoo/seen-roundtrip, zoo/seen-tuner
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-held-out
WITH asked AS (
    SELECT count(DISTINCT prompt_digest) AS n, count(DISTINCT prompt_digest) FILTER (trained_on) AS seen, any_value(asked_at) AS place FROM asked_after WHERE trained_on IS NOT NULL
), measured AS (
    SELECT sum(records) AS n, sum(used) AS seen, any_value(place) AS place FROM datasets WHERE run = run_of(b) AND source = 'forward' AND used IS NOT NULL
)
SELECT 'questions to the trained model' AS subject, seen || ' of ' || n || ' questions were training rows' AS observed, 'questions that were held back' AS expected, seen = n AS fault, place,
    CASE WHEN n >= many THEN 'warning' ELSE 'info' END AS severity
FROM asked WHERE n >= least
UNION ALL
SELECT 'rows that were evaluated', seen || ' of ' || n || ' rows that were evaluated had been trained on', 'rows that were held back', seen = n, place, 'warning' FROM measured WHERE n > 1
ORDER BY fault DESC, subject
