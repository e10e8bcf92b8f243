-- Updates are below what the dtype can hold.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, loss-constant, loss-not-decreasing, saved-untrained
-- claim:      {observed} of the trained elements changed in {steps:update|updates}: the updates are below the spacing of {dtype}.
-- clean:      the precision of the updates ({observed} of the trained elements changed)
-- needs:      parameters, steps, end
-- reads:      moves, stillness
-- nothing:    an update with a gradient and a rate above 0
-- fix:        train in float32 (model.set_dtype(mx.float32), or an adapter in float32), or raise the learning rate
-- harmless:   some elements of a 16-bit model that do not change at a small rate are told as info
-- fires on:   zoo/rounding-half, zoo/rounding-full
WITH s AS MATERIALIZED (SELECT * FROM stillness),
t AS (
    SELECT m.changed, x.dtype, x.size, d.changed_fraction
    FROM moves m JOIN tensors x ON x.digest = m.digest_b LEFT JOIN deltas d ON d.digest_a = m.digest_a AND d.digest_b = m.digest_b
    WHERE m.trainable
), f AS (
    SELECT sum(CASE WHEN NOT changed THEN 0 ELSE changed_fraction END * size) / nullif(sum(size) FILTER (NOT changed OR changed_fraction IS NOT NULL), 0) AS fraction,
        mode(dtype) AS dtype, bool_and(dtype IN ('BF16', 'F16')) AS narrow
    FROM t
)
SELECT 'trained elements' AS subject, round(100 * f.fraction, 1) || ' %' AS observed, 'a change with each update' AS expected,
    s.cause IS NOT DISTINCT FROM 'update-lost-to-rounding' OR (s.cause IS NULL AND f.narrow AND f.fraction < 0.5) AS fault,
    CASE WHEN s.cause IS NULL THEN 'info' ELSE 'error' END AS severity, s.steps, f.dtype, s.update_place AS place
FROM s, f
WHERE f.fraction IS NOT NULL AND s.gradient > 0 AND s.rate > 0 AND s.updated > 0
ORDER BY subject
