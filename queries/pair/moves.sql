-- Parameters that stand in both ends of a span. `trainable` at any `start`, or unfrozen between updates
-- and trainable after the last; NULL where nothing says so.
-- `adapter`: that model has one.
-- Of a quantized weight `changed` speaks of its codes.
--
-- params: a, b
-- reads:  spans
with
    s as materialized(select * from spans),
    starts as (
        select s.model, p.canonical, bool_or(p.trainable) as trainable
        from placements p
        join captures c on c.capture = p.capture
        join s on c.run = run_of(b) and c.model = s.model
        where c.point = 'start' and p.role <> 'optimizer'
        group by s.model, p.canonical
    ),
    late as (
        select e.model
        from events e
        where e.run = run_of(b) and e.kind in ('unfreeze', 'update')
        group by e.model
        having
            max(e.sequence) filter (e.kind = 'unfreeze') > min(e.sequence) filter (e.kind = 'update')
            and max(e.sequence) filter (e.kind = 'update') > max(e.sequence) filter (e.kind = 'unfreeze')
    ),
    x as (
        select s.model, p.canonical, any_value(p.digest) as digest, any_value(p.trainable) as trainable
        from placements p
        join s on p.capture = s.x
        where p.role <> 'optimizer'
        group by s.model, p.canonical
    ),
    y as (
        select
            s.model,
            p.canonical,
            any_value(p.digest) as digest,
            any_value(p.name) as name,
            any_value(p.role) as role,
            any_value(p.module) as module,
            any_value(p.layer) as layer,
            any_value(p.trainable) as trainable,
            bool_or(adapter_role(any_value(p.role))) over (partition by s.model) as adapter
        from placements p
        join s on p.capture = s.y
        where p.role <> 'optimizer'
        group by s.model, p.canonical
    )
select
    y.model,
    y.name,
    y.canonical,
    y.role,
    y.module,
    y.layer,
    y.adapter,
    case
        when y.trainable and late.model is not null
        then true
        else coalesce(starts.trainable, y.trainable, x.trainable)
    end as trainable,
    x.digest as digest_a,
    y.digest as digest_b,
    x.digest is distinct from y.digest as changed
from y
join x using (model, canonical)
left join starts using (model, canonical)
left join late using (model)
where x.digest is not null and y.digest is not null
