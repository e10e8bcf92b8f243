-- The two records were made in different environments.
--
-- severity:   info
-- role:       cause
-- confidence: certain
-- claim:      {n} of {looked} parts of the environment differ; first {subject}: {observed}, {expected} before.
-- clean:      the environment ({looked:part is|parts are} the same)
-- needs:
-- nothing:    the environment of two records
-- harmless:   a change of version explains a change of numbers only where both were trained or asked alike
SELECT coalesce(x.key, y.key) AS subject, coalesce(y.value, 'absent') AS observed, coalesce(x.value, 'absent') AS expected,
    x.value IS DISTINCT FROM y.value AS fault
FROM (SELECT key, any_value(value) AS value FROM environment WHERE capture IN (capture_of(a), run_of(a)) GROUP BY key) x
FULL JOIN (SELECT key, any_value(value) AS value FROM environment WHERE capture IN (capture_of(b), run_of(b)) GROUP BY key) y
    ON x.key = y.key
WHERE ((x.value IS NOT NULL AND y.value IS NOT NULL) OR watched(a) = watched(b))  -- a model at rest has no device
  AND EXISTS (SELECT 1 FROM environment WHERE capture IN (capture_of(a), run_of(a)))
  AND EXISTS (SELECT 1 FROM environment WHERE capture IN (capture_of(b), run_of(b)))
ORDER BY subject
