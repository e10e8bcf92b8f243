-- At which capture of a run each parameter first differed from the run's first capture, and first held a number that is none.
--
-- params:  a
-- example: forensics query first-change night
WITH seen AS (
    SELECT p.canonical, c.capture, c.point, c.sequence, c.updates, p.digest, coalesce(p.nans, 0) + coalesce(p.infs, 0) AS nonfinite,
        first_value(p.digest) OVER (PARTITION BY p.canonical ORDER BY c.sequence) AS first_digest
    FROM parameters p JOIN captures c ON c.capture = p.capture
    WHERE c.run = run_of(a) AND c.model = model_of(a) AND c.source = 'live' AND p.role IS DISTINCT FROM 'optimizer' AND p.shared_with IS NULL
)
SELECT canonical AS name, min_by(point, sequence) FILTER (digest <> first_digest) AS first_changed,
    min_by(updates, sequence) FILTER (digest <> first_digest) AS after_updates,
    min_by(point, sequence) FILTER (nonfinite > 0) AS first_not_finite
FROM seen
GROUP BY canonical
HAVING first_changed IS NOT NULL OR first_not_finite IS NOT NULL
ORDER BY min(sequence) FILTER (digest <> first_digest), name
