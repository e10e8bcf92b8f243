-- Something that should have been recorded is missing.
--
-- severity:   info
-- role:       cause
-- confidence: certain
-- claim:      {n:thing was|things were} not recorded; first: {observed}.
-- clean:      the record (complete)
-- nothing:    a watched run
-- fix:        capture the run again; what is missing and why stands in forensics show
WITH said AS (
    SELECT run AS subject, complete, missing FROM runs WHERE run = run_of(b) AND coalesce(kind, 'watched') = 'watched'
    UNION ALL
    SELECT capture, complete, missing FROM captures WHERE run = run_of(b) AND watched(b)
), one AS (
    SELECT subject, complete, unnest(coalesce(nullif(from_json(missing, '[{"what": "VARCHAR", "why": "VARCHAR"}]'), []), [NULL])) AS gap FROM said
)
SELECT subject, coalesce(gap.what || ': ' || gap.why, CASE WHEN complete THEN 'complete' ELSE 'incomplete' END) AS observed,
    'complete' AS expected, gap IS NOT NULL OR NOT coalesce(complete, true) AS fault
FROM one
ORDER BY subject, observed
