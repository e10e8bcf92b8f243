-- How much of the trained adapter's update each capture with fused weights holds, over all its layers, by the energy of the update.
-- `realised`: norm of what was added over that of the update. `apart`: norm of added - update over that of the update; 0 is an exact fuse.
-- `rounding`: what the dtype of the fused weights rounds off, over the norm of the update.
--
-- params: b
WITH each AS (
    SELECT f.capture_fused, f.module, f.k, f.quantized, f.intended_l2 AS whole, f.realised_l2 AS added,
        sqrt(greatest(f.realised_l2 ** 2 + f.intended_l2 ** 2 * (1 - 2 * f.k), 0)) AS apart,
        p.l2 * CASE p.dtype WHEN 'F32' THEN 2.0 ** -24 WHEN 'F16' THEN 2.0 ** -11 WHEN 'BF16' THEN 2.0 ** -8 END AS rounding
    FROM fusions f JOIN captures c ON c.capture = f.capture_fused
    LEFT JOIN parameters p ON p.capture = f.capture_fused AND p.canonical = f.module || '.weight'
    WHERE (c.run = run_of(b) OR f.capture_fused = capture_of(b)) AND f.intended_l2 > 0 AND isfinite(f.k)
)
SELECT capture_fused, sum(k * whole * whole) / sum(whole * whole) AS k, bool_or(quantized) AS quantized, count(*) AS layers,
    sqrt(sum(added * added) / sum(whole * whole)) AS realised, sqrt(sum(apart * apart) / sum(whole * whole)) AS apart,
    sqrt(sum(rounding * rounding) / sum(whole * whole)) AS rounding
FROM each GROUP BY capture_fused
