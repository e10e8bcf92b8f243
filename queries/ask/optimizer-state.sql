-- The optimizer at each capture of a run.
--
-- params:  a
-- example: forensics query optimizer-state night
SELECT c.point, c.model, o.optimizer, o.class, o.step, o.learning_rate, o.scheduled, o.state_tensors, o.state_l2, o.settings
FROM optimizers o JOIN captures c ON c.capture = o.capture
WHERE c.run = run_of(a)
ORDER BY c.sequence, o.optimizer
