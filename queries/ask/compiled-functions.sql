-- The functions that the program compiled, and whether they carry the state that they change.
--
-- params:  a
-- example: forensics query compiled-functions night
select
    function,
    purpose,
    model,
    calls,
    traces,
    state_in_inputs,
    state_in_outputs,
    random_used,
    random_captured,
    updates_behind,
    live_difference,
    live_scale,
    place
from compiled
where run = run_of(a)
order by process, function
