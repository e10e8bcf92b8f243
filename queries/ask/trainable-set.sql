-- Which parameters a run could move, and which did move by the capture.
--
-- params:  a
-- example: forensics query trainable-set night
SELECT p.role, coalesce(s.trainable, p.trainable) AS trainable, count(*) AS tensors, sum(p.size) AS elements,
    count(*) FILTER (f.digest <> p.digest) AS moved
FROM parameters p
LEFT JOIN parameters s ON s.capture = at_point(a, 'start') AND s.canonical = p.canonical AND s.shared_with IS NULL
LEFT JOIN parameters f ON f.capture = coalesce(at_point(a, 'start'), first_of(a)) AND f.canonical = p.canonical AND f.shared_with IS NULL
WHERE p.capture = capture_of(a) AND p.role IS DISTINCT FROM 'optimizer' AND p.shared_with IS NULL
GROUP BY ALL
ORDER BY p.role, 2
