-- The adapter was trained and cannot change the output.
--
-- severity:   error
-- role:       consequence
-- confidence: certain
-- explains:   output-unchanged, parameters-unchanged, loss-not-decreasing, gradients-zero,
-- saved-untrained
-- claim:      {n:adapter multiplies|adapters all multiply} to exactly zero after training: {observed}.
-- clean:      an adapter without effect ({observed})
-- needs:      parameters, end
-- long:       four reasons for a product of zero, each with its sentence and its cure
-- reads:      enclosed, meant_free, spans, stillness
-- nothing:    the model has no adapter
-- setting:    scale
-- fix:        {fix_}
-- harmless:   before the first update, where lora_b is zero on purpose
-- fires on:   zoo/inert-handmade, zoo/inert-loop
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mlp-last-layer
with
    pairs as materialized(
        select
            s.model,
            p.module,
            bool_or(p.zeros = p.size) filter (p.role = 'lora_a') as dead_a,
            bool_or(p.zeros = p.size) filter (p.role = 'lora_b') as dead_b
        from parameters p
        join spans s on p.capture = s.y
        anti join enclosed inner_ on inner_.model = s.model
        where p.role in ('lora_a', 'lora_b')
        group by s.model, p.module
    ),
    scales as (
        select s.model, x.module, max(x.scale) as scale
        from modules x
        join spans s on x.capture = s.y
        where x.rank is not null
        group by s.model, x.module
    ),
    tried as (
        select
            case
                when watched(b)
                then
                    (
                        select coalesce(sum(updates), 0) + coalesce(sum(writes), 0)
                        from models
                        where run = run_of(b)
                    )
                else 1
            end as updates
    ),
    dead as (
        select
            pairs.*,
            scales.scale,
            coalesce(dead_a, false) or coalesce(dead_b, false) or coalesce(scales.scale = 0, false) as inert,
            (
                select any_value(f.why)
                from meant_free f
                where f.why = 'merged' and f.model is not distinct from pairs.model
            ) as merged
        from pairs
        left join scales on scales.module = pairs.module and scales.model is not distinct from pairs.model
    )
select
    module as subject,
    case
        when scale = 0
        then 'the scale is 0'
        when dead_a and dead_b
        then 'lora_a and lora_b are zero'
        when dead_a
        then 'lora_a is zero'
        when dead_b
        then 'lora_b is zero'
        else 'factors and scale are not zero'
    end as observed,
    'a product that is not zero' as expected,
    bool_and(inert and merged is null) over (partition by model) and tried.updates > 0 as fault,
    case
        when scale = 0
        then 'set the adapter''s scale to a value above 0'
        when dead_a and dead_b
        then
            'begin with a random lora_a, as LoRALinear does: with both factors zero, both gradients are '
            || 'zero for ever'
        when s.undone_place is not null
        then
            'the updates moved lora_b, and the state of the beginning was written back: copy the state '
            || 'that is to be kept after an update'
        else
            'find why lora_b never moved in the causes above; where there are none, look at its '
            || 'gradient, in the table gradients'
    end as fix_,
    coalesce(s.undone_place, convert_place(b)) as place
from dead, tried, (select any_value(undone_place) as undone_place from stillness) s
order by subject
