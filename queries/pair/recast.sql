-- Tensors outside the trainable set that were put into another type, there or to and fro, and that differ by
-- no more than the rounding of a 16-bit type leaves.
--
-- params: a, b
-- reads:  moves
with
    casts as (
        select distinct model
        from events
        where run = run_of(b) and kind = 'write' and (detail ->> 'cast')::boolean
    )
select m.model, m.canonical
from moves m
join casts on casts.model is not distinct from m.model
join deltas d on d.digest_a = m.digest_a and d.digest_b = m.digest_b
where m.changed and not m.trainable and d.relative <= roundoff('BF16')
