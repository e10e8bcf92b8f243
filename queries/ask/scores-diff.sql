-- Scores of the same answers that differ between two captures.
--
-- params:  a, b
-- example: forensics query scores-diff night
WITH x AS (SELECT * FROM scores WHERE capture IN (capture_of(a), probes_at(a))),
y AS (SELECT * FROM scores WHERE capture IN (capture_of(b), probes_at(b)))
SELECT DISTINCT x.prompt_id, x.scorer, x.key, x.value AS in_a, y.value AS in_b
FROM x JOIN y ON x.prompt_id = y.prompt_id AND x.scorer = y.scorer AND x.key IS NOT DISTINCT FROM y.key
WHERE x.value IS DISTINCT FROM y.value
ORDER BY x.scorer, x.key, x.prompt_id
