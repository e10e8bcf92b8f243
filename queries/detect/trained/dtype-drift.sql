-- Parameters changed their type during training.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch
-- claim:      {n} of {looked} tensors are {observed}; {expected}.
-- clean:      the types of the parameters (the same, {looked:tensor|tensors})
-- needs:      parameters
-- reads:      moves
-- nothing:    floating-point parameters
-- fix:        keep gradients in the parameters' type: a float32 array (a norm, a scale, a rate) that
-- multiplies a 16-bit gradient makes it float32; use a Python float, or .astype(g.dtype)
-- harmless:   a conversion by set_dtype, or between two models at rest, is told as info
-- fires on:   zoo/drift-half, zoo/drift-full
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
with
    c as (
        select count(*) as n, any_value(place) as place
        from events
        where run = run_of(b) and kind = 'write' and detail ->> 'via' = 'Module.set_dtype'
    )
select
    m.name as subject,
    y.dtype as observed,
    'they were ' || x.dtype as expected,
    x.dtype <> y.dtype as fault,
    case
        when not watched(b) or c.n > 0 or not coalesce(m.trainable, false) then 'info' else 'error'
    end as severity,
    coalesce(
        c.place, (select any_value(place) from events where run = run_of(b) and kind = 'update')
    ) as place
from moves m
join tensors x on x.digest = m.digest_a
join tensors y on y.digest = m.digest_b, c
where x.dtype in ('F32', 'F16', 'BF16') and y.dtype in ('F32', 'F16', 'BF16')
order by fault desc, subject
