-- The optimizer at each capture of a run.
--
-- params:  a
-- example: forensics query optimizer-state night
select
    c.point,
    c.model,
    o.optimizer,
    o.class,
    o.step,
    o.learning_rate,
    o.scheduled,
    o.state_tensors,
    o.state_l2,
    o.settings
from optimizers o
join captures c on c.capture = o.capture
where c.run = run_of(a)
order by c.sequence, o.optimizer
