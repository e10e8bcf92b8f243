-- Compiled steps and gradients that run without their state, put together in one row; NULLs where there is
-- none.
--
-- params: b
select
    any_value(c.purpose) as purpose,
    any_value(c.place) as compiled_place,
    max(c.calls) as calls,
    max(c.traces) as traces,
    bool_or(not c.state_in_inputs) as no_inputs,
    bool_or(not c.state_in_outputs) as no_outputs
from compiled c
where
    c.run = run_of(b)
    and c.purpose in ('step', 'gradient')
    and ((c.calls > c.traces and not c.state_in_inputs) or (c.purpose = 'step' and not c.state_in_outputs))
