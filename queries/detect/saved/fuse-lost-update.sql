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
-- params:     a, b, least = fused_least()
-- numbers:    least - half of the update, see fused_least()
-- fix:        {fix_}
-- harmless:   rounding to four bits where most of the update stays
-- fires on:   zoo/fused-four, zoo/fused-fresh
-- silent on:  zoo/healthy-fused, zoo/healthy-dequantized, zoo/healthy-fused-in-four-bits
select
    capture_fused as subject,
    percent(greatest(k, 0)) as observed,
    '100 %' as expected,
    k < least and (quantized or apart < 1 or realised < least) as fault,
    coalesce(
        fuse_place(b), (select any_value(c.place) from captures c where c.capture = capture_fused)
    ) as place,
    layers,
    case
        when quantized
        then
            'fuse into full precision: module.fuse(dequantize=True) (mlx_lm.fuse --dequantize), and '
            || 'quantize later if the update is large enough to survive it'
        when fuse_place(b) is null and realised = 0
        then
            'the adapter was taken off before the weights were written, and fused into nothing: put '
            || 'module.fuse() in the place of each adapter, not module.linear'
        else
            'load the trained adapter before fusing: mlx_lm.load(base, adapter_path=...), then fuse '
            || 'that model'
    end as fix_
from fused_shares
order by fault desc, subject
