-- What the loss teaches, step by step: the share of its weight on prompt, answer, end and padding.
--
-- params:  a
-- example: forensics query loss-by-role night
SELECT model, step, loss, tokens, weight_prompt, weight_answer, weight_end, weight_pad, mass_pad, weight_sum, residual
FROM steps
WHERE run = run_of(a)
ORDER BY process, model, step
