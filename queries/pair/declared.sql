-- What the program says that it means: rows of `adapters`, and the option --expect. strength strong: said
-- in so many words.
--
-- params: b
with k as materialized(select run_of(b) as run)
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
where origin = 'declared'
union all
select 'expect', expect, null, null, false, null, null, null, null, 'strong', null, null
from runs
join k using (run)
where expect is not null
