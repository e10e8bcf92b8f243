-- A score of the answers fell.
--
-- severity:   warning
-- role:       symptom
-- confidence: strong
-- claim:      {subject} fell from {expected} to {observed}.
-- clean:      the scores ({looked} looked at, none fell)
-- needs:      probes
-- nothing:    a score of the same probes before and after
-- params:     a, b, fall = 0.1
-- fix:        look at the causes above; where there are none, read the answers: forensics query transcripts-diff
-- harmless:   repetition and length, which have no better side; references that ask for the old style
-- silent on:  zoo/healthy-roundtrip
WITH x AS (SELECT scorer, key, avg(value) AS value, count(*) AS n FROM scores WHERE capture = probes_at(a) AND value IS NOT NULL GROUP BY scorer, key),
y AS (SELECT scorer, key, avg(value) AS value, count(*) AS n FROM scores WHERE capture = probes_at(b) AND value IS NOT NULL GROUP BY scorer, key)
SELECT 'The score ' || y.scorer || CASE WHEN y.key = '' THEN '' ELSE ' ' || y.key END AS subject, brief(y.value) AS observed, brief(x.value) AS expected,
    y.value < x.value - fall * greatest(abs(x.value), 1e-9) AS fault
FROM x JOIN y ON x.scorer = y.scorer AND x.key = y.key WHERE y.scorer NOT IN ('special-share', 'repetition', 'length')
ORDER BY fault DESC, subject
