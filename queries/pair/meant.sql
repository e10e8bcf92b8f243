-- What was meant, in one row: the option, else what was said in so many words, else what is imported,
-- unless the program says by `unfreeze` which of its modules it trains.
-- NULL: nothing says.
--
-- params: b
-- reads:  declared
with
    every as materialized(select * from declared),
    off as (select coalesce(bool_or(via = 'argument' and kind = 'other'), false) as there from every),
    d as materialized(  -- options of an adapter count for nothing where the same line says mode: full, or off
        select every.* from every, off where not (off.there and via = 'argument' and kind in ('lora', 'dora'))
    )
select
    case
        when count(*) filter (via = 'expect') > 0
        then any_value(kind) filter (via = 'expect')
        when bool_or(kind = 'full' and strength = 'strong')
        then 'full'
        when bool_or(strength = 'strong' and kind in ('lora', 'dora'))
        then max_by(kind, via = 'call') filter (strength = 'strong' and kind in ('lora', 'dora'))
        when bool_or(strength = 'strong')
        then null  -- settings that say themselves that they are not in force
        when
            exists (
                from events e
                where
                    e.run = run_of(b)
                    and e.kind = 'unfreeze'
                    and e.detail ->> 'module' <> ''
                    and (e.detail ->> 'trainable_after')::integer > (e.detail ->> 'trainable_before')::integer
            )
        then null
        else any_value(kind)
    end as kind,
    coalesce(bool_or(strength = 'strong'), false) as said,
    string_agg(distinct said_by(via), ', ' order by said_by(via)) as via,
    any_value(place order by strength, via) as place,
    any_value(rank) as rank,
    any_value(scale) as scale
from d
