-- Reloads of what was saved. `lost` and `other`: tensors of the file that the model which loads it has not,
-- or
-- holds as other ones, of `n`. `relative`: how far its logits lie from the live model's, over the largest.
--
-- params: a, b
-- reads:  held_against
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
    )
select
    h.*,
    probes.relative,
    probes.apart,
    probes.scale,
    probes.capture is not null as probed,
    file.lost,
    file.other,
    file.n,
    h.present = 0 and h.base_moved > 0 as fused
from h
left join probes using (capture)
left join file using (capture)
