-- The adapter is not the declared one: other layers, other targets, another kind.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   adapter-incomplete, adapter-not-loaded, reload-mismatch
-- claim:      The adapter is not the declared one: {subject}: {observed}, declared {expected}.
-- clean:      the adapted layers ({observed})
-- needs:      parameters
-- reads:      adapted_at_end, declared, own_moves
-- nothing:    an adapter whose layers, targets or kind are declared
-- fix:        {fix_}
-- harmless:   some layers or targets alone, where the declaration says the same
-- fires on:   zoo/partial-loop, zoo/partial-classes, zoo/partial-api
-- silent on:  zoo/healthy-step-0, zoo/healthy-dora, zoo/healthy-rank-1
with
    there as materialized(select * from adapted_at_end where model is not distinct from model_of(b)),
    depth as (
        select count(distinct layer) as n from modules where capture = capture_of(b) and layer is not null
    ),
    said as materialized(
        select
            *,
            case
                when num_layers is null or num_layers <= 0 or num_layers >= depth.n
                then depth.n
                else num_layers
            end as layers
        from declared, depth
        where strength = 'strong' and kind in ('lora', 'dora') and via <> 'expect'
    ),
    ignored as (
        select string_agg(distinct word, ', ') as words, any_value(place) as place
        from
            (
                select unnest(from_json(detail -> 'unknown', '["VARCHAR"]')) as word, place
                from events
                where run = run_of(b) and kind = 'convert'
            )
    ),
    layers as (
        select
            coalesce(list(distinct layer order by layer), []) as have,
            string_agg(distinct layer::varchar, ', ' order by layer::varchar) as names
        from there
        where layer is not null
    ),
    named as (select list(distinct key_) as keys from (select unnest(keys) as key_ from said)),
    named_there as materialized(
        select
            x.layer,
            x.kind,
            list_bool_or(list_transform(named.keys, lambda k:answers_to(x.canonical, k))) as hit
        from modules x, named
        where x.capture = capture_of(b)
    ),
    could as materialized(
        -- blocks that hold a layer of the declared kind: in a model of mixed blocks not all do
        select distinct n.layer
        from named_there n, (select coalesce(bool_or(hit), false) as hit from named_there) as whole
        where
            n.layer is not null
            and n.kind in ('linear', 'quantized', 'switch', 'embedding', 'adapter', 'dora')
            and (n.hit or not whole.hit)
    ),
    by_layer as (
        -- a declaration that the program holds counts where none of them agrees; what is saved must agree
        -- itself
        select
            said.via,
            said.layers,
            said.place,
            layers.have = (
                select coalesce(list(could.layer order by could.layer), [])
                from could
                where could.layer >= depth.n - said.layers
            ) as agrees
        from said, layers, depth
        where said.num_layers is not null and len(layers.have) > 0
    ),
    known as (
        -- keys that name a module of this model; a list for many architectures holds others, which are passed
        -- over
        select coalesce(list(distinct k.key_), []) as keys
        from (select unnest(keys) as key_ from named) k
        where exists (from modules x where x.capture = capture_of(b) and answers_to(x.canonical, k.key_))
    ),
    paths as materialized(select list(canonical order by canonical) as paths from there),
    keys as materialized(
        select distinct
            via,
            place,
            list_filter(said.keys, lambda k:list_contains(known.keys, k) or len(known.keys) = 0) as keys,
            list_filter(
                said.keys, lambda k:list_bool_or(list_transform(paths, lambda p:answers_to(p, k)))
            ) as found,
            list_filter(
                paths, lambda p: not list_bool_or(list_transform(said.keys, lambda k:answers_to(p, k)))
            ) as more
        from said, paths, known
        where len(said.keys) > 0 and not list_has_any(said.keys, ['all-linear', 'auto', 'all'])
    ),
    by_key as (
        select *, len(found) = len(keys) and len(more) = 0 as agrees from keys where exists (from there)
    ),
    option as (  -- what --expect says of an adapter that was trained
        select
            any_value(expect) as expect,
            (select count(*) > 0 from modules where capture = capture_of(b) and kind = 'dora') as dora,
            (select any_value(place) from events where run = run_of(b) and kind = 'convert') as place
        from runs
        where
            run = run_of(b)
            and expect is not null
            and exists (from own_moves where changed and adapter_role(role))
    ),
    verdicts as (
        select
            'layers' as subject,
            len(layers.have) || ' of ' || depth.n || ' blocks (' || layers.names || ')' as observed,
            'the last ' || v.layers || ' blocks' as expected,
            v.via,
            v.agrees,
            v.place
        from by_layer v, layers, depth
        union all
        select
            'targets',
            case
                when len(more) > 0
                then len(more) || ' adapted layers more, among them ' || more[1]
                when len(found) = 0
                then 'none of the declared is adapted'
                else 'adapted are only ' || array_to_string(found, ', ')
            end,
            array_to_string(keys, ', '),
            via,
            agrees,
            place
        from by_key
        union all
        select
            'kind',
            if(dora, 'DoRA', 'LoRA') || ' on ' || (select count(*) from there) || ' layers',
            case
                expect
                when 'lora'
                then 'LoRA'
                when 'dora'
                then 'DoRA'
                when 'full'
                then 'no adapter (full)'
                else 'no adapter (none)'
            end,
            'expect',
            expect = if(dora, 'dora', 'lora'),
            place
        from option
        where expect is not null
    ),
    judged as (
        select *, bool_or(agrees) over (partition by subject, via in ('saved-config')) as one_agrees
        from verdicts
    )
select
    subject,
    case when agrees then (select count(*) from there) || ' adapted layers' else observed end as observed,
    expected,
    not agrees
    and not one_agrees
    and (
        via <> 'call' or not exists (select 1 from judged j where j.subject = judged.subject and j.agrees)
    ) as fault,
    via,
    coalesce(judged.place, ignored.place) as place,
    case
        when subject = 'kind'
        then 'train what --expect says, or say what is meant: --expect lora, dora, full or none'
        when ignored.words is not null
        then
            'linear_to_lora_layers reads rank, scale, dropout and keys; it ignored '
            || ignored.words
            || ': pass the targets as "keys"'
        when subject = 'layers'
        then
            'convert the layers that the configuration says: linear_to_lora_layers(model, num_layers, '
            || 'config) counts from the end, 0 and below mean all'
        else 'pass the same keys to linear_to_lora_layers and to adapter_config.json'
    end as fix_
from judged, ignored
order by fault desc, subject, via
