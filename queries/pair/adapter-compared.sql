-- The adapter that is there, beside each declaration of its layers, its targets and its kind. `fault`: what
-- the
-- program holds agrees where one of its declarations does; what is saved must agree itself.
--
-- params: a, b
-- reads:  adapted_at_end, layers_compared, own_moves, targets_compared
with
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
            if(dora, 'DoRA', 'LoRA') || ' on ' || counted(adapters_.n, 'layer'),
            case
                expect when 'lora' then 'LoRA' when 'dora' then 'DoRA' else 'no adapter (' || expect || ')'
            end,
            'expect',
            expect = if(dora, 'dora', 'lora'),
            place
        from option, adapters_
        where expect is not null
    )
select
    subject,
    if(agrees, counted(adapters_.n, 'adapted layer'), observed) as observed,
    expected,
    via,
    place,
    not bool_or(agrees) over (partition by subject, via = 'saved-config')
    and not (via = 'call' and bool_or(agrees) over (partition by subject)) as fault
from verdicts, adapters_
