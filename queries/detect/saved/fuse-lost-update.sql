-- The fused weights hold less than half of the adapter's update.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   output-unchanged, stale-model-in-generation, score-dropped, reload-mismatch
-- claim:      {observed} of the adapter's update is in the fused weights.
-- clean:      fusing ({observed} of the update is in the fused weights)
-- rules out:  fused-twice, saved-untrained
-- needs:      fusions
-- reads:      fused_shares
-- nothing:    an adapter that was trained and fused
-- params:     a, b, least = 0.5
-- fix:        {fix_}
-- harmless:   rounding to four bits where most of the update stays
-- fires on:   zoo/fused-four, zoo/fused-fresh
-- silent on:  zoo/healthy-fused, zoo/healthy-dequantized, zoo/healthy-fused-in-four-bits
SELECT capture_fused AS subject, percent(greatest(k, 0)) AS observed, '100 %' AS expected, k < least AND (quantized OR apart < 1 OR realised < least) AS fault,
    fuse_place(b) AS place, layers,
    CASE WHEN quantized THEN 'fuse into full precision: module.fuse(dequantize=True) (mlx_lm.fuse --dequantize), and quantize later if the update is large enough to survive it'
         ELSE 'load the trained adapter before fusing: mlx_lm.load(base, adapter_path=...), then fuse that model' END AS fix_
FROM fused_shares
ORDER BY fault DESC, subject
