-- Frozen weights shrank by one common factor.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, frozen-but-changed, base-weights-overwritten, reload-mismatch, unexplained-change
-- claim:      {n:frozen tensor|frozen tensors} shrank by one factor, {observed}: a decay was applied to weights without a gradient.
-- clean:      decay of frozen weights (none of {looked} shrank)
-- needs:      parameters, trainable, deltas
-- reads:      moves
-- nothing:    frozen parameters
-- fix:        hand the optimizer the trainable parameters alone: weight decay moves every tensor that it is given, with a gradient or without
-- fires on:   zoo/decay-loop, zoo/decay-classes
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
WITH m AS MATERIALIZED (
    SELECT m.model, m.name, m.changed, x.l2 AS before, y.l2 AS after, y.l2 / nullif(x.l2, 0) AS ratio, d.cosine, d.relative, x.dtype
    FROM moves m JOIN tensors x ON x.digest = m.digest_a JOIN tensors y ON y.digest = m.digest_b
    LEFT JOIN deltas d ON d.digest_a = m.digest_a AND d.digest_b = m.digest_b
    WHERE NOT m.trainable AND x.dtype IN ('F32', 'F16', 'BF16') AND x.dtype = y.dtype
), f AS (  -- turned by nothing, and all by about the same: rounding of 16-bit types blurs both
    SELECT model, count(*) AS n, median(1 - ratio) AS shrunk,
        quantile_cont(1 - ratio, 0.9) - quantile_cont(1 - ratio, 0.1) <= CASE WHEN bool_or(dtype <> 'F32') THEN 0.5 ELSE 0.05 END * median(1 - ratio) AS common
    FROM m WHERE changed AND ratio < 1 AND cosine > CASE WHEN dtype = 'F32' THEN 1 - 1e-6 ELSE 1 - 1e-4 END GROUP BY model
), total AS (SELECT model, count(*) FILTER (changed) AS changed FROM m GROUP BY model)
SELECT m.name AS subject, CASE WHEN m.changed THEN round(m.ratio, 6)::VARCHAR ELSE 'as before' END AS observed, 'as before' AS expected,
    m.changed AND coalesce(f.n >= 3 AND f.common AND f.shrunk > 0 AND f.n >= 0.8 * total.changed AND m.ratio < 1, false) AS fault,
    (SELECT any_value(place) FROM events WHERE run = run_of(b) AND kind IN ('update', 'write')) AS place
FROM m JOIN total ON total.model IS NOT DISTINCT FROM m.model LEFT JOIN f ON f.model IS NOT DISTINCT FROM m.model
ORDER BY fault DESC, subject
