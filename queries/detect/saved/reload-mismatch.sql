-- What was saved answers otherwise than the live model, when it is loaded again.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- claim:      Loaded again, the saved model differs from the live one: {observed}.
-- clean:      the reload ({observed})
-- rules out:  adapter-not-loaded, adapter-incomplete, saved-untrained, wrong-base, lora-scale-mismatch
-- needs:      reloaded, end
-- reads:      adapter_loads, held_against, saves_held
-- nothing:    what was saved, loaded again
-- params:     a, b, floor = 0.02
-- fix:        compare names and values in the file with tree_flatten(model.parameters()) of the live
-- model, and write what config.json and adapter_config.json must say
-- fires on:   zoo/other-head, zoo/scaled-file
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints, zoo/healthy-fused
with
    h as (select * from held_against where source = 'reload'),
    probes as (
        select
            h.capture,
            max(d.logits_max_abs / nullif(d.logits_scale, 0)) as relative,
            max(d.logits_max_abs) as apart,
            any_value(d.logits_scale) as scale
        from h
        join
            probe_deltas d
            on h.model = model_of(b)
            and d.capture_a
            = coalesce((select c.probes_of from captures c where c.capture = capture_of(b)), capture_of(b))
            and d.capture_b = h.capture
        group by h.capture
    ),
    file as (
        select
            capture,
            min_by(lost, lost + other) as lost,
            min_by(other, lost + other) as other,
            min_by(n, lost + other) as n
        from
            (
                select
                    h.capture,
                    count(*) filter (r.canonical is null) as lost,
                    count(*) filter (r.digest <> s.digest) as other,
                    count(*) as n
                from h
                join captures c on c.run = run_of(b) and c.point = 'saved' and c.model = h.model
                join placements s on s.capture = c.capture and s.role <> 'optimizer'
                left join placements r on r.capture = h.capture and r.canonical = s.canonical
                group by h.capture, c.capture
            )
        group by capture
    ),
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
    met as (select coalesce(bool_or(unexpected > 0 or absent > 0), false) as partly from adapter_loads),
    fused as (select h.capture from h where h.present = 0 and h.base_moved > 0)
select
    h.capture as subject,
    case
        when file.lost > 0
        then printf('%d of %d tensors in the file are not in the model that loads it', file.lost, file.n)
        when file.other > 0
        then
            printf(
                '%d of %d tensors in the file are other ones in the model that loads it', file.other, file.n
            )
        when probes.relative > floor
        then
            printf('logits differ by %.3g (they reach %.3g)', probes.apart, probes.scale) || case
                when h.after < h.present
                then printf('; %d of %d trained tensors differ', h.moved - h.after, h.moved)
                else ''
            end
        when probes.capture is null and h.model = model_of(b) and h.after < h.moved
        then printf('%d of %d trained tensors differ', h.moved - h.after, h.moved)
        when probes.capture is not null
        then printf('logits differ by %.3g', probes.apart)
        else 'the parameters of the file'
    end as observed,
    'the logits and parameters of the live model' as expected,
    (coalesce(file.lost > 0, false) and not met.partly)
    or coalesce(file.other > 0, false)
    or (
        fused.capture is null
        and case
            when probes.capture is not null
            then probes.relative > floor
            else h.model = model_of(b) and h.after < h.moved
        end
        and not (saves.early or met.partly or h.base_moved > 0)
    ) as fault,
    (
        select max_by(s.place, s.save) from saved_tensors s where s.run = run_of(b) and s.model = h.model
    ) as place
from h
cross join saves
cross join met
left join probes using (capture)
left join file using (capture)
left join fused using (capture)
where h.moved > 0
order by fault desc, h.sequence
