-- What the program says that it means: rows of `adapters`, and the option --expect. strength strong: said
-- in so many words.
--
-- params: b
with k as materialized(select run_of(b) as run, model_of(b) as model)
select
    via,
    kind,
    rank,
    coalesce(scale, alpha / nullif(rank, 0)) as scale,
    scale is null and alpha is not null as by_alpha,
    alpha,
    dropout,
    num_layers,
    from_json(keys, '["VARCHAR"]') as keys,
    coalesce(strength, 'strong') as strength,
    place,
    from_json(layers, '["INTEGER"]') as chosen
from adapters
join k using (run)
where
    origin = 'declared'
    -- a configuration that came with an adapter's file is that of the model which took it
    and not (
        via = 'config-file'
        and exists (
            from adapters o
            join captures c using (capture)
            join events e on e.run = c.run and e.model = c.model
            where
                c.run = k.run
                and c.model <> k.model
                and o.origin = 'observed'
                and o.rank = adapters.rank
                and e.kind = 'load'
                and e.detail ->> 'what' = 'adapter'
                and (e.detail ->> 'matched')::integer > 0
        )
        and not exists (
            from adapters o
            join captures c using (capture)
            where c.run = k.run and c.model = k.model and o.origin = 'observed'
        )
    )
union all
select 'expect', expect, null, null, false, null, null, null, null, 'strong', null, null
from runs
join k using (run)
where expect is not null
