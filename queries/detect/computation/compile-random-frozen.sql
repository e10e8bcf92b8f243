-- A compiled function draws the same random numbers at each call.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   output-unchanged, generation-collapse, loss-not-decreasing, score-dropped
-- claim:      A compiled {purpose} draws random numbers and {observed}.
-- clean:      random numbers in compiled functions ({observed})
-- early:      what a function was compiled with stays: its calls drew the same numbers
-- needs:      compiled
-- nothing:    a compiled function that draws random numbers
-- fix:        add mx.random.state to inputs and outputs: @partial(mx.compile, inputs=state, outputs=state)
-- with state =
-- [model.state, optimizer.state, mx.random.state]
-- fires on:   zoo/frozen-step, zoo/frozen-sampler
-- silent on:  zoo/healthy-dropout-in-training, zoo/healthy-sampling
select
    coalesce(c.place, 'function ' || c.function) as subject,
    case
        when c.random_captured
        then 'the random state is captured'
        else 'leaves the random state out: each of ' || c.calls || ' calls draws the same'
    end as observed,
    'the random state in inputs and outputs' as expected,
    not c.random_captured and c.calls > c.traces as fault,
    c.place,
    case c.purpose when 'step' then 'training step' when 'other' then 'function' else c.purpose end as purpose
from compiled c
where c.run = run_of(b) and c.random_used and c.random_captured is not null
order by fault desc, subject
