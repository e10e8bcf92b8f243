-- Loss, learning rate and norms of every update.
--
-- params:  a
-- example: forensics query training-steps night
SELECT model, step, optimizer, loss, learning_rate, gradients, gradient_norm, update_norm, parameter_norm, nonfinite, seconds
FROM steps
WHERE run = run_of(a)
ORDER BY process, model, step
