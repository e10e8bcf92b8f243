-- A compiled function works on the state that it was traced with.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, loss-constant, loss-not-decreasing,
-- save-failed, saved-untrained, error-swallowed, optimizer-restarted, schedule-in-wrong-unit,
-- stale-compiled-function, reload-mismatch
-- claim:      The compiled {purpose} {observed}: {expected}.
-- clean:      the compiled functions (their state is captured)
-- early:      what a function was compiled with stays: a call that began again from its trace lost the
-- update before it
-- needs:      compiled
-- nothing:    a compiled training step
-- fix:        state = [model.state, optimizer.state, mx.random.state]; @partial(mx.compile, inputs=state,
-- outputs=state)
-- fires on:   zoo/stateless-compiled, zoo/outputs-compiled, zoo/outputs-half
-- silent on:  zoo/healthy-compiled
select
    coalesce(c.place, 'function ' || c.function) as subject,
    c.purpose,
    'was called '
    || c.calls
    || ' times with '
    || case
        when not c.state_in_inputs and not coalesce(c.state_in_outputs, true)
        then 'the model neither in inputs nor in outputs'
        when not c.state_in_inputs
        then 'the model not in inputs'
        when not c.state_in_outputs
        then 'the model not in outputs'
        else 'its state captured'
    end as observed,
    case
        when not coalesce(c.state_in_outputs, true) and c.purpose = 'step' and not c.state_in_inputs
        then 'every call began again from the weights of its trace, and what it changed was thrown away'
        when not c.state_in_inputs
        then 'every call began again from the weights of its trace'
        when not c.state_in_outputs
        then 'what a call changed was thrown away'
        else 'each call goes on where the last one ended'
    end as expected,
    (c.calls > c.traces and not c.state_in_inputs)
    or (c.purpose = 'step' and not c.state_in_outputs) as fault,
    c.place
from compiled c
where c.run = run_of(b) and c.purpose in ('step', 'gradient') and c.state_in_inputs is not null
order by fault desc, subject
