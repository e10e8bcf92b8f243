-- Captures of a run, each held against what training moved: how many of these tensors it has, how many as
-- after training, as before it. `rounded`: of those after training the ones in another type or packing.
-- `base_moved`: tensors that training left alone and that differ here (a fused or another base); `recast`: of
-- those the ones that are the base's but for the rounding of another type.
-- A tensor in another type or packing is what it lies nearer to, where it lies near at all: a cast and a
-- quantized copy have digests of their own.
--
-- params: a, b
-- reads:  own_moves
with
    k as materialized(select run_of(b) as run),
    m as materialized(select * from own_moves),
    total as (select count(*) filter (changed) as n from m),
    p as materialized(
        select
            c.capture,
            p.canonical,
            any_value(p.digest) as digest,
            any_value(coalesce(p.value_digest, p.digest)) as value
        from captures c
        join k on c.run = k.run
        join placements p on p.capture = c.capture
        where p.role is distinct from 'optimizer' and p.digest is not null
        group by c.capture, p.canonical
    ),
    cast_ as (
        select count(*) > 0 as seen
        from events e
        join k on e.run = k.run
        where e.kind = 'write' and (e.detail ->> 'cast')::boolean
    ),
    forms as materialized(  -- what has another type or packing than the trained model has, or had another
        select
            p.capture,
            p.canonical,
            t.dtype <> u.dtype and y.relative <= other_form() and coalesce(y.l2 < x.l2, true) as after,
            t.dtype <> u.dtype
            and coalesce(x.l2 <= y.l2 and (x.relative <= other_form() or x.l2 = 0), false) as before,
            y.relative <= if(
                t.dtype <> u.dtype, greatest(roundoff(t.dtype), roundoff(u.dtype)), roundoff('BF16')
            ) as recast
        from p
        join m on m.canonical = p.canonical and p.digest not in (m.digest_a, m.digest_b)
        join tensors t on t.digest = p.digest
        join tensors u on u.digest = m.digest_b
        join deltas y on y.digest_a = m.digest_b and y.digest_b = p.value
        left join deltas x on m.changed and x.digest_a = m.digest_a and x.digest_b = p.value
        cross join cast_
        where t.dtype <> u.dtype or cast_.seen
    )
select
    c.capture,
    c.model,
    c.point,
    c.source,
    c.sequence,
    total.n as moved,
    count(p.canonical) filter (m.changed) as present,
    count(*) filter (m.changed and (p.digest = m.digest_b or f.after)) as after,
    count(*) filter (m.changed and (p.digest = m.digest_a or f.before)) as before,
    count(*) filter (m.changed and f.after) as rounded,
    count(*) filter (not m.changed and not adapter_role(m.role) and p.digest <> m.digest_b) as base_moved,
    count(*) filter (not m.changed and not adapter_role(m.role) and f.recast) as recast,
    count(p.canonical) filter (not m.changed and not adapter_role(m.role)) as base
from captures c
join k on c.run = k.run
cross join total
left join p on p.capture = c.capture
left join m on m.canonical = p.canonical
left join forms f on f.capture = p.capture and f.canonical = p.canonical
group by c.capture, c.model, c.point, c.source, c.sequence, total.n
