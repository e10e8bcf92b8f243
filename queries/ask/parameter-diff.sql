-- Every parameter of two captures side by side, with how far it moved.
--
-- params:  a, b
-- example: forensics query parameter-diff snapshots/base snapshots/fixed
SELECT p.canonical AS name, p.name_a, p.name_b, p.role, p.layer, p.status = 'identical' AS identical, p.status,
    p.dtype_a, p.dtype_b, coalesce(p.shape_b, p.shape_a) AS shape, p.trainable_b AS trainable,
    d.max_abs, d.l2, d.relative, d.cosine, d.changed_fraction
FROM paired(a, b) p
LEFT JOIN deltas d ON d.digest_a = p.key_a AND d.digest_b = p.key_b
ORDER BY p.layer NULLS FIRST, p.canonical
