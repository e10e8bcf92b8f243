-- The first rows that the loss saw, token by token: weight, role and relation to the input.
--
-- params:  a, first_step = 1, last_step = 1
-- example: forensics query loss-tokens night
SELECT model, step, forward, row, position, token, role, relation, weight, mass, residual
FROM loss_tokens
WHERE run = run_of(a) AND step BETWEEN first_step AND last_step
ORDER BY process, model, step, forward, row, position
