-- What differs between the environments of two captures.
--
-- params:  a, b
-- example: forensics query environment-diff night other
WITH x AS (SELECT key, any_value(value) AS value FROM environment WHERE capture IN (capture_of(a), run_of(a)) GROUP BY key),
y AS (SELECT key, any_value(value) AS value FROM environment WHERE capture IN (capture_of(b), run_of(b)) GROUP BY key)
SELECT coalesce(x.key, y.key) AS key, x.value AS in_a, y.value AS in_b
FROM x FULL JOIN y ON x.key = y.key
WHERE differ(x.value, y.value) AND EXISTS (SELECT 1 FROM x) AND EXISTS (SELECT 1 FROM y)
    -- a model at rest has no device
    AND ((x.value IS NOT NULL AND y.value IS NOT NULL) OR watched(a) = watched(b))
ORDER BY 1
