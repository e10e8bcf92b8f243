-- Frozen base tensors under an adapter that differ by what rounding alone leaves, where an adapter is added
-- into them and taken out again. `cycles`: how often that was seen, in a capture that has neither value; else
-- how often the run measured something between updates. `unit`: the largest error of one rounding;
-- `grown`: how much larger than the base the sum may be, by whose size it is rounded.
--
-- params: a, b, roundings = 2
-- numbers: roundings - in a cycle, one when the adapter is added and one when it is taken out
-- reads:  moves, spans
with
    adapted as (
        select distinct s.model, m.canonical || '.weight' as canonical
        from placements p
        join spans s on p.capture = s.y
        join modules m on m.capture = p.capture and m.module = p.module
        where p.role = 'lora_a'
    ),
    moved as materialized(
        select m.*
        from moves m
        join adapted using (model, canonical)
        where m.changed and not m.trainable and not adapter_role(m.role)
    ),
    merged as (
        select m.model, m.canonical, count(distinct c.capture) as n
        from moved m
        join captures c on c.run = run_of(b) and c.model = m.model and c.source = 'live'
        join placements p on p.capture = c.capture and p.canonical = m.canonical
        where p.digest not in (m.digest_a, m.digest_b)
        group by m.model, m.canonical
    ),
    measured as (
        select model, count(*) filter (outside_forwards > 0) as n
        from steps
        where run = run_of(b)
        group by model
    ),
    updates as (  -- the largest norm that what is added may have, by the factors' own
        select
            s.model,
            l.canonical || '.weight' as canonical,
            max(l.scale) * max(t.l2) filter (p.role = 'lora_a') * max(t.l2) filter (p.role = 'lora_b') as l2
        from spans s
        join placements p on p.capture = s.y and p.role in ('lora_a', 'lora_b')
        join tensors t on t.digest = p.digest
        join modules l on l.capture = p.capture and l.module = p.module
        group by s.model, l.canonical
    ),
    sized as (
        select
            m.model,
            m.name,
            m.canonical,
            t.dtype,
            d.relative,
            d.max_abs,
            roundoff(t.dtype) as unit,
            1 + coalesce(updates.l2 / nullif(t.l2, 0), 0) as grown,
            coalesce(merged.n, 0) as merges,
            greatest(coalesce(merged.n, measured.n, 1), 1) as cycles
        from moved m
        join tensors t on t.digest = m.digest_a
        join tensors u on u.digest = m.digest_b and u.dtype = t.dtype and u.shape = t.shape
        join deltas d on d.digest_a = m.digest_a and d.digest_b = m.digest_b
        left join merged using (model, canonical)
        left join measured using (model)
        left join updates using (model, canonical)
    )
select *
from sized
-- the errors of roundings add up as those of independent draws do
where relative <= unit * sqrt(roundings * cycles) * grown
