-- A watched call raised, and the program went on as if it had not.
--
-- severity:   warning
-- role:       consequence
-- confidence: certain
-- claim:      {observed}, and the program went on.
-- clean:      exceptions ({observed})
-- needs:      run, every_event
-- fix:        let the exception end the run, or say it in the result: except Exception around {subject}
-- hides it
-- harmless:   loading a file that may be missing, where the program then begins afresh
-- fires on:   zoo/swallowed-pipeline, zoo/swallowed-classes
-- silent on:  zoo/healthy-pipeline
with
    e as (
        select
            detail ->> 'call' as call,
            detail ->> 'type' as type,
            coalesce((detail ->> 'caught')::boolean, false) as caught,
            place
        from events
        where run = run_of(b) and kind = 'error'
    )
select
    call as subject,
    call
    || ' raised '
    || type
    || case when count(*) > 1 then ' ' || count(*) || ' times' else '' end as observed,
    'no exception, or an end of the run' as expected,
    bool_or(caught)
    and not regexp_matches(call, '(load|load_weights|load_model|load_tokenizer|load_adapters)$') as fault,
    any_value(place) as place
from e
group by call, type
union all
select 'calls', 'none was raised by a watched call', 'no exception, or an end of the run', false, null
where not exists (from e)
order by fault desc, subject
