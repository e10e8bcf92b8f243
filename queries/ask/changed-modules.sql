-- What moved, by module: how many tensors, and the largest relative change.
--
-- params:  a, b
-- example: forensics query changed-modules night
SELECT p.layer, p.module, count(*) AS tensors, count(*) FILTER (p.status = 'changed') AS changed,
    count(*) FILTER (p.status = 'added') AS added, count(*) FILTER (p.status = 'removed') AS removed,
    bool_or(p.trainable_b) AS trainable, max(d.relative) AS relative
FROM paired(a, b) p
LEFT JOIN deltas d ON d.digest_a = p.key_a AND d.digest_b = p.key_b
GROUP BY p.layer, p.module
HAVING count(*) FILTER (p.status <> 'identical') > 0
ORDER BY p.layer NULLS FIRST, p.module
