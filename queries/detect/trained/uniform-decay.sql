-- Frozen weights shrank by one common factor.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, frozen-but-changed, base-weights-overwritten, reload-mismatch,
-- unexplained-change
-- claim:      {n:frozen tensor|frozen tensors} shrank by one factor, {observed}: a decay was applied to
-- weights without a gradient.
-- clean:      decay of frozen weights (none of {looked} shrank)
-- needs:      parameters, trainable, deltas
-- reads:      moves
-- nothing:    frozen parameters
-- params:     a, b, tail = 0.1, spread_32 = 0.05, spread_16 = 0.5, turned_32 = 1e-6, turned_16 = 1e-4,
-- least = 3, nearly_all = 0.8
-- numbers:    tail - of the tensors on either side, which may be odd; spread_32, spread_16 - how far the
-- others' factors lie apart, as a share of what was taken off, 16-bit weights round a decay of
-- some thousandths away in part; turned_32, turned_16 - 1 - cosine of a tensor that was only
-- scaled, rounding alone; least - tensors for one factor to be no chance; nearly_all - of the
-- frozen tensors that moved, an optimizer decays all that it is given
-- setting:    weight_decay, optimizer_config
-- fix:        hand the optimizer the trainable parameters alone: weight decay moves every tensor that it
-- is given, with a gradient or without
-- fires on:   zoo/decay-loop, zoo/decay-classes
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
with
    m as materialized(
        select
            m.model,
            m.name,
            m.changed,
            x.l2 as before,
            y.l2 as after,
            y.l2 / nullif(x.l2, 0) as ratio,
            d.cosine,
            d.relative,
            x.dtype
        from moves m
        join tensors x on x.digest = m.digest_a
        join tensors y on y.digest = m.digest_b
        left join deltas d on d.digest_a = m.digest_a and d.digest_b = m.digest_b
        where not m.trainable and x.dtype in ('F32', 'F16', 'BF16') and x.dtype = y.dtype
    ),
    f as (  -- turned by nothing, and all by about the same: rounding of 16-bit types blurs both
        select
            model,
            count(*) as n,
            median(1 - ratio) as shrunk,
            quantile_cont(1 - ratio, 1 - tail) - quantile_cont(1 - ratio, tail)
            <= case when bool_or(dtype <> 'F32') then spread_16 else spread_32 end
            * median(1 - ratio) as common
        from m
        where
            changed
            and ratio < 1
            and cosine > case when dtype = 'F32' then 1 - turned_32 else 1 - turned_16 end
        group by model
    ),
    total as (select model, count(*) filter (changed) as changed from m group by model)
select
    m.name as subject,
    case when m.changed then round(m.ratio, 6)::varchar else 'as before' end as observed,
    'as before' as expected,
    m.changed
    and coalesce(
        f.n >= least and f.common and f.shrunk > 0 and f.n >= nearly_all * total.changed and m.ratio < 1,
        false
    ) as fault,
    coalesce(
        optimizer_place(b), (select any_value(place) from events where run = run_of(b) and kind = 'write')
    ) as place
from m
join total on total.model is not distinct from m.model
left join f on f.model is not distinct from m.model
order by fault desc, subject
