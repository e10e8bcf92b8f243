-- The fused weights are not the base with its adapter.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   output-unchanged, score-dropped, generation-collapse, reload-mismatch,
-- stale-model-in-generation
-- claim:      What was added to the base weights lies {observed} off the adapter's update: {layers}
-- layers replayed.
-- clean:      the arithmetic of the fuse ({observed} off an exact replay)
-- rules out:  fuse-lost-update, fused-twice
-- needs:      fusions
-- reads:      fused_shares
-- nothing:    an adapter that was trained and fused
-- params:     a, b, share = fuse_off(), rounded = fuse_roundings(), least = fused_least(), most =
-- fused_most()
-- numbers:    share, rounded - beyond both, the difference is no rounding; least, most - less is lost,
-- more is there twice, which other findings say
-- fix:        fuse by the layer's own fuse(): base + scale * A B, and for DoRA the sum, times its
-- magnitudes over the norms of its rows
-- harmless:   rounding of the dtype that was fused into; a fuse into quantized weights, which is not held
-- against a replay
-- fires on:   zoo/fused-weaker
-- silent on:  zoo/healthy-fused, zoo/healthy-dequantized
select
    capture_fused as subject,
    percent(apart) as observed,
    '0 %: base + update, rounded' as expected,
    not quantized
    and apart > share
    and apart > rounded * coalesce(rounding, 0)
    and k <= most
    and not (k < least and (apart < 1 or realised < least)) as fault,  -- else lost, or there twice
    fuse_place(b) as place,
    layers
from fused_shares
order by fault desc, subject
