-- Blocks of b's model that hold an adapter, beside each declaration of how many of the last ones are to, or
-- of which by number.
-- In a model of mixed blocks only those count that hold a layer of the declared kind.
--
-- params: a, b
-- reads:  adapted_at_end, declared_adapters
with
    adapted_blocks as (
        select
            coalesce(list(distinct layer order by layer), []) as have,
            string_agg(distinct layer::varchar, ', ' order by layer::varchar) as names
        from adapted_at_end
        where model is not distinct from model_of(b) and layer is not null
    ),
    named as (select list(distinct key_) as keys from (select unnest(keys) as key_ from declared_adapters)),
    layers_there as materialized(  -- does a declared key name it?
        select
            x.layer,
            x.kind,
            list_bool_or(list_transform(named.keys, lambda k:answers_to(x.canonical, k))) as hit
        from modules x, named
        where x.capture = capture_of(b)
    ),
    could as materialized(
        select distinct layer
        from layers_there, (select coalesce(bool_or(hit), false) as any_hit from layers_there)
        where
            layer is not null
            and kind in ('linear', 'quantized', 'switch', 'embedding', 'adapter', 'dora')
            and (hit or not any_hit)
    )
select
    'layers' as subject,
    'it is in '
    || len(have)
    || ' of '
    || counted(d.blocks, 'block')
    || ' ('
    || if(len(have) = 1, 'block ', 'blocks ')
    || names
    || ')' as observed,
    case
        when d.chosen is not null
        then if(len(d.chosen) = 1, 'block ', 'blocks ') || array_to_string(d.chosen, ', ')
        when d.layers = 1
        then 'the last block'
        else 'the last ' || d.layers || ' blocks'
    end as expected,
    d.via,
    have = coalesce(
        d.chosen,
        (
            select coalesce(list(could.layer order by could.layer), [])
            from could
            where could.layer >= d.blocks - d.layers
        )
    ) as agrees,
    d.place
from declared_adapters d, adapted_blocks
where (d.num_layers is not null or d.chosen is not null) and len(have) > 0
