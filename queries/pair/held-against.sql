-- Captures of a run, each held against what training moved: how many of these tensors it has, how many as
-- after training, as before it.
-- `base_moved`: tensors that training left alone and that differ here (a fused or another base).
--
-- params: a, b
-- reads:  own_moves
with
    k as materialized(select run_of(b) as run),
    m as materialized(select * from own_moves),
    total as (select count(*) filter (changed) as n from m),
    p as materialized(
        select c.capture, p.canonical, any_value(p.digest) as digest
        from captures c
        join k on c.run = k.run
        join placements p on p.capture = c.capture
        where p.role is distinct from 'optimizer' and p.digest is not null
        group by c.capture, p.canonical
    )
select
    c.capture,
    c.model,
    c.point,
    c.source,
    c.sequence,
    total.n as moved,
    count(p.canonical) filter (m.changed) as present,
    count(*) filter (m.changed and p.digest = m.digest_b) as after,
    count(*) filter (m.changed and p.digest = m.digest_a) as before,
    count(*) filter (not m.changed and not adapter_role(m.role) and p.digest <> m.digest_b) as base_moved,
    count(p.canonical) filter (not m.changed and not adapter_role(m.role)) as base
from captures c
join k on c.run = k.run
cross join total
left join p on p.capture = c.capture
left join m on m.canonical = p.canonical
group by c.capture, c.model, c.point, c.source, c.sequence, total.n
