-- What could not be recorded, and why.
--
-- params:  a
-- example: forensics query what-is-missing night
WITH said AS (
    SELECT run AS subject, missing FROM runs WHERE run = run_of(a)
    UNION ALL SELECT capture, missing FROM captures WHERE run = run_of(a)
), gaps AS (
    SELECT subject, unnest(from_json(missing, '[{"what": "VARCHAR", "why": "VARCHAR"}]')) AS gap FROM said
    UNION ALL
    SELECT capture, {'what': name, 'why': error} FROM placements WHERE capture = capture_of(a) AND error IS NOT NULL
)
SELECT subject, gap.what AS what, gap.why AS why
FROM gaps
ORDER BY subject, what, why
