-- Which optimizer updated which model, from which step to which, with its state as it was last captured.
-- `done`: updates of the model up to the end of this phase. `captured`: the optimizer's state was seen.
--
-- params: b
with
    updates_ as (
        select
            model,
            optimizer,
            min(step) as first,
            max(step) as last,
            count(*) as n,
            sum(count(*)) over (partition by model order by max(step)) as done
        from steps
        where run = run_of(b) and optimizer is not null
        group by model, optimizer
    ),
    states as (
        select
            c.model,
            o.optimizer,
            any_value(o.class) as class,
            max(o.step) as step,
            arg_max(o.learning_rate, c.sequence) as rate,
            arg_max(o.settings, c.sequence) as settings,
            max(o.state_l2) as state,
            max(o.state_tensors) as tensors,
            true as captured
        from optimizers o
        join captures c using (capture)
        where c.run = run_of(b)
        group by c.model, o.optimizer
    )
select *
from updates_
left join states using (model, optimizer)
