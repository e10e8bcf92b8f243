-- The adapter is not the declared one: other layers, other targets, another kind.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   adapter-incomplete, adapter-not-loaded, reload-mismatch
-- claim:      The adapter is not the declared one: {subject}: {observed}, declared {expected}.
-- clean:      the adapted layers ({observed})
-- needs:      parameters
-- reads:      adapted_at_end, layers_compared, own_moves, targets_compared
-- nothing:    an adapter whose layers, targets or kind are declared
-- fix:        {fix_}
-- harmless:   some layers or targets alone, where the declaration says the same
-- fires on:   zoo/partial-loop, zoo/partial-classes, zoo/partial-api
-- silent on:  zoo/healthy-step-0, zoo/healthy-dora, zoo/healthy-rank-1
with
    ignored as (
        select string_agg(distinct word, ', ') as words, any_value(place) as place
        from
            (
                select unnest(from_json(detail -> 'unknown', '["VARCHAR"]')) as word, place
                from events
                where run = run_of(b) and kind = 'convert'
            )
    ),
    adapters_ as (select count(*) as n from adapted_at_end where model is not distinct from model_of(b)),
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
        from layers_compared
        union all
        from targets_compared
        union all
        select
            'kind',
            if(dora, 'DoRA', 'LoRA') || ' on ' || adapters_.n || ' layers',
            case
                expect when 'lora' then 'LoRA' when 'dora' then 'DoRA' else 'no adapter (' || expect || ')'
            end,
            'expect',
            expect = if(dora, 'dora', 'lora'),
            place
        from option, adapters_
        where expect is not null
    ),
    judged as (
        -- what the program holds agrees where one of its declarations does; what is saved must itself
        select
            *,
            bool_or(agrees) over (partition by subject, via = 'saved-config') as one_agrees,
            bool_or(agrees) over (partition by subject) as any_agrees
        from verdicts
    )
select
    subject,
    if(agrees, adapters_.n || ' adapted layers', observed) as observed,
    expected,
    not one_agrees and not (via = 'call' and any_agrees) as fault,
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
            'convert the layers that the configuration says: linear_to_lora_layers(model, '
            || 'num_layers, config) counts from the end, 0 and below mean all'
        else 'pass the same keys to linear_to_lora_layers and to adapter_config.json'
    end as fix_
from judged, ignored, adapters_
order by fault desc, subject, via
