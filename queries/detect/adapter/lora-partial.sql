-- The adapter is not the declared one: other layers, other targets, another kind.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   adapter-incomplete, adapter-not-loaded, reload-mismatch
-- claim:      The adapter is not the declared one: {observed}; declared: {expected}.
-- clean:      the adapted layers ({observed})
-- needs:      parameters
-- reads:      adapter_compared
-- nothing:    an adapter whose layers, targets or kind are declared
-- setting:    keys, num_layers
-- fix:        {fix_}
-- harmless:   some layers or targets alone, where the declaration says the same
-- fires on:   zoo/partial-loop, zoo/partial-classes, zoo/partial-api, zoo/partial-chosen
-- silent on:  zoo/healthy-chosen, zoo/healthy-step-0, zoo/healthy-dora, zoo/healthy-rank-1
with
    ignored as (
        select string_agg(distinct word, ', ') as words, any_value(place) as place
        from
            (
                select unnest(from_json(detail -> 'unknown', '["VARCHAR"]')) as word, place
                from events
                where run = run_of(b) and kind = 'convert'
            )
    )
select
    subject,
    observed,
    expected,
    fault,
    via,
    coalesce(c.place, ignored.place, convert_place(b)) as place,
    case
        when subject = 'kind'
        then 'train what --expect says, or say what is meant: --expect lora, dora, full or none'
        when subject = 'layers' and ignored.words like '%layers_to_transform%'
        then
            'linear_to_lora_layers converts the last num_layers blocks and ignored layers_to_transform: convert '
            || 'the blocks that you name yourself, or name the last ones'
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
from adapter_compared c, ignored
order by fault desc, subject, via
