-- What was saved answers otherwise than the live model, when it is loaded again.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- claim:      Loaded again, the saved model differs from the live one: {observed}.
-- clean:      the reload ({observed})
-- rules out:  adapter-not-loaded, adapter-incomplete, saved-untrained, wrong-base, lora-scale-mismatch
-- needs:      reloaded, end
-- reads:      adapter_loads, reloads, saves_held, fused_shares
-- nothing:    what was saved, loaded again
-- params:     a, b, floor = logit_noise()
-- numbers:    floor - of the largest logit, see logit_noise()
-- fix:        compare names and values in the file with tree_flatten(model.parameters()) of the live
-- model, and write what config.json and adapter_config.json must say
-- harmless:   what was trained, saved in another type: its rounding shows in the logits; what was fused and
-- is held against a replay (fuse-wrong), or stands on quantized weights, which are rounded anew
-- fires on:   zoo/other-head, zoo/scaled-file
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints, zoo/healthy-fused
with
    saves as (
        select
            coalesce(
                bool_or(
                    save = (select max(save) from saves_held)
                    and (before = present or (updates < total and after < present))
                ),
                false
            ) as early
        from saves_held
        where present > 0
    ),
    excused as (  -- a fuse that another finding judges, or that rounds
        select
            exists (from fused_shares)
            or exists (
                from modules m
                join captures c on c.capture = m.capture
                where c.run = run_of(b) and m.kind = 'quantized'
            ) as fuse
    ),
    met as (select coalesce(bool_or(unexpected > 0 or absent > 0), false) as partly from adapter_loads)
select
    h.capture as subject,
    case
        when h.lost > 0
        then printf('%d of %d tensors in the file are not in the model that loads it', h.lost, h.n)
        when h.other > 0
        then printf('%d of %d tensors in the file are other ones in the model that loads it', h.other, h.n)
        when h.relative > floor
        then
            printf('logits differ by %.3g (they reach %.3g)', h.apart, h.scale) || case
                when h.fused
                then '; the adapter was added to the base by another scale or sum than its forward has'
                when h.after < h.present
                then printf('; %d of %d trained tensors differ', h.moved - h.after, h.moved)
                else ''
            end
        when not h.probed and h.model = model_of(b) and h.after < h.moved
        then printf('%d of %d trained tensors differ', h.moved - h.after, h.moved)
        when h.probed
        then printf('logits differ by %.3g', h.apart)
        else 'the parameters of the file'
    end as observed,
    'the logits and parameters of the live model' as expected,
    (coalesce(h.lost > 0, false) and not met.partly)
    or coalesce(h.other > 0, false)
    or (
        not (h.fused and (excused.fuse or h.recast > 0))
        and h.rounded = 0
        and case when h.probed then h.relative > floor else h.model = model_of(b) and h.after < h.moved end
        and not (saves.early or met.partly or (h.base_moved > 0 and not h.fused))
    ) as fault,
    (
        select max_by(s.place, s.save) from saved_tensors s where s.run = run_of(b) and s.model = h.model
    ) as place
from reloads h
cross join saves
cross join met
cross join excused
where h.moved > 0
order by fault desc, h.sequence
