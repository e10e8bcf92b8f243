-- Updates are below what the dtype can hold.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, loss-constant, loss-not-decreasing, saved-untrained
-- claim:      {observed} of the trained elements changed in {steps:update|updates}: the updates are below
-- the spacing of {dtype}.
-- clean:      the precision of the updates ({observed} of the trained elements changed)
-- needs:      parameters, steps, end
-- reads:      moves, stillness
-- nothing:    an update with a gradient and a rate above 0
-- params:     a, b, most = 0.5
-- numbers:    most - of the elements, where fewer than half of them moved, it is worth a word (info)
-- setting:    learning_rate
-- fix:        train in float32 (model.set_dtype(mx.float32), or an adapter in float32), or raise the
-- learning rate
-- harmless:   some elements of a 16-bit model that do not change at a small rate are told as info
-- fires on:   zoo/rounding-half, zoo/rounding-full
with
    s as materialized(select * from stillness),
    t as (
        select m.changed, x.dtype, x.size, d.changed_fraction
        from moves m
        join tensors x on x.digest = m.digest_b
        left join deltas d on d.digest_a = m.digest_a and d.digest_b = m.digest_b
        where m.trainable
    ),
    f as (
        select
            sum(case when not changed then 0 else changed_fraction end * size)
            / nullif(sum(size) filter (not changed or changed_fraction is not null), 0) as fraction,
            mode(dtype) as dtype,
            bool_and(dtype in ('BF16', 'F16')) as narrow
        from t
    )
select
    'trained elements' as subject,
    percent(f.fraction) as observed,
    'a change with each update' as expected,
    s.cause is not distinct from 'update-lost-to-rounding'
    or (s.cause is null and f.narrow and f.fraction < most) as fault,
    case when s.cause is null then 'info' else 'error' end as severity,
    s.steps,
    f.dtype,
    optimizer_place(b) as place
from s, f
where f.fraction is not null and s.gradient > 0 and s.rate > 0 and s.updated > 0
order by subject
