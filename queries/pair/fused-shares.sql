-- The share of the trained adapter's update in each capture with fused weights, over all its layers, by the energy of the update.
--
-- params: b
SELECT f.capture_fused, sum(f.k * f.intended_l2 * f.intended_l2) / sum(f.intended_l2 * f.intended_l2) AS k, bool_or(f.quantized) AS quantized, count(*) AS layers
FROM fusions f JOIN captures c ON c.capture = f.capture_fused
WHERE (c.run = run_of(b) OR f.capture_fused = capture_of(b)) AND f.intended_l2 > 0 AND isfinite(f.k) GROUP BY f.capture_fused
