-- Parameters of two captures side by side by canonical name, tied twins once: name_a or name_b is NULL where one has none.
-- `key_a` and `key_b` are digests as values, under which `deltas` are found: the value digest where there is one, else the digest.
--
-- params: a, b
WITH x AS (
    SELECT canonical, any_value(name ORDER BY shared_with IS NOT NULL, name) AS name,
        any_value(p.role ORDER BY shared_with IS NOT NULL, name) AS role, any_value(p.layer) AS layer, any_value(p.module) AS module,
        any_value(p.digest ORDER BY shared_with IS NOT NULL, name) AS digest, any_value(p.value_digest) AS value_digest,
        any_value(p.dtype) AS dtype, any_value(p.shape) AS shape, any_value(p.trainable) AS trainable
    FROM parameters p WHERE p.capture = capture_of(a) AND p.role IS DISTINCT FROM 'optimizer' GROUP BY canonical
), y AS (
    SELECT canonical, any_value(name ORDER BY shared_with IS NOT NULL, name) AS name,
        any_value(p.role ORDER BY shared_with IS NOT NULL, name) AS role, any_value(p.layer) AS layer, any_value(p.module) AS module,
        any_value(p.digest ORDER BY shared_with IS NOT NULL, name) AS digest, any_value(p.value_digest) AS value_digest,
        any_value(p.dtype) AS dtype, any_value(p.shape) AS shape, any_value(p.trainable) AS trainable
    FROM parameters p WHERE p.capture = capture_of(b) AND p.role IS DISTINCT FROM 'optimizer' GROUP BY canonical
)
SELECT coalesce(x.canonical, y.canonical) AS canonical, x.name AS name_a, y.name AS name_b, coalesce(y.role, x.role) AS role,
    coalesce(y.layer, x.layer) AS layer, coalesce(y.module, x.module) AS module,
    x.dtype AS dtype_a, y.dtype AS dtype_b, x.shape AS shape_a, y.shape AS shape_b, x.digest AS digest_a, y.digest AS digest_b,
    x.value_digest AS value_digest_a, y.value_digest AS value_digest_b,
    coalesce(x.value_digest, x.digest) AS key_a, coalesce(y.value_digest, y.digest) AS key_b, x.trainable AS trainable_a, y.trainable AS trainable_b,
    CASE WHEN x.name IS NULL THEN 'added' WHEN y.name IS NULL THEN 'removed'
         WHEN x.digest IS NULL OR y.digest IS NULL THEN 'unknown'
         WHEN coalesce(x.value_digest, x.digest) = coalesce(y.value_digest, y.digest) THEN 'identical' ELSE 'changed' END AS status
FROM x FULL JOIN y ON x.canonical = y.canonical
