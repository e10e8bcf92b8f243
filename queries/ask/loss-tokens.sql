-- The first rows that the loss saw, token by token: weight, role and relation to the input.
--
-- params:  a, first_step = 1, last_step = 1
-- example: forensics query loss-tokens night
select model, step, forward, row, position, token, role, relation, weight, mass, residual
from loss_tokens
where run = run_of(a) and step between first_step and last_step
order by process, model, step, forward, row, position
