-- Loss, learning rate and norms of every update.
--
-- params:  a
-- beside:  model, step
-- example: forensics query training-steps night
select
    model,
    step,
    optimizer,
    loss,
    learning_rate,
    gradients,
    gradient_norm,
    update_norm,
    parameter_norm,
    nonfinite,
    seconds
from steps
where run = run_of(a)
order by process, model, step
