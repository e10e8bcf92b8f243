-- The adapter's update is in the weights more than once.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   wrong-base, reload-mismatch, generation-collapse, score-dropped, stale-model-in-generation
-- claim:      The adapter's update is in the weights {observed} times.
-- clean:      fusing once (the update is in the weights {observed} times)
-- rules out:  fuse-lost-update
-- needs:      fusions
-- reads:      fused_shares
-- nothing:    an adapter that was trained and fused
-- params:     a, b, most = fused_most()
-- numbers:    most - half way between once and twice
-- fix:        fuse once: load a fused model without its adapter, and put no fused layer under an adapter
-- again
-- fires on:   zoo/fused-and-adapted, zoo/fused-in-a-loop
-- silent on:  zoo/healthy-fused, zoo/healthy-dequantized
select
    capture_fused as subject,
    printf('%.2f', k) as observed,
    '1' as expected,
    k > most as fault,
    fuse_place(b) as place,
    layers
from fused_shares
order by fault desc, subject
