-- What the loss teaches, step by step: the share of its weight on prompt, answer, end and padding.
--
-- params:  a
-- beside:  model, step
-- example: forensics query loss-by-role night
select
    model,
    step,
    loss,
    tokens,
    weight_prompt,
    weight_answer,
    weight_end,
    weight_pad,
    mass_pad,
    weight_sum,
    residual
from steps
where run = run_of(a)
order by process, model, step
