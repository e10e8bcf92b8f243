-- Did the loss of each model rise, and the loss of what? Of the rows of the first step where they came
-- again: rows are kept of the first steps and of a few later ones, and losses of different rows say little.
-- Else of all: it rose where no loss of the end lies below the first.
--
-- params: b, late = 0.75
-- numbers: late - the last quarter of the steps, the end
with
    r as (  -- a step's rows, in their order
        select process, model, step, list(row_digest order by forward, row) as digests
        from batch_rows
        where run = run_of(b) and row_digest is not null
        group by process, model, step
    ),
    again as (
        select
            s.model,
            min(s.step) as first_step,
            max(s.step) as last_step,
            min_by(s.loss, s.step) as first_loss,
            max_by(s.loss, s.step) as last_loss
        from r
        join steps s on s.process = r.process and s.model = r.model and s.step = r.step
        where s.run = run_of(b) and isfinite(s.loss)
        group by s.model, r.digests
        having count(*) > 1
    ),
    l as (
        select
            model,
            min_by(loss, step) as first,
            min(loss) filter (step > late * n) as last,
            min(step) as first_step
        from (select *, max(step) over (partition by model) as n from steps where run = run_of(b))
        group by model
    )
select
    l.model,
    coalesce(a.last_loss > a.first_loss, l.last > l.first, false) as rose,
    case
        when a.last_loss is not null
        then
            printf(
                'the loss of the rows of step %d was %.2f then and %.2f at step %d',
                a.first_step,
                a.first_loss,
                a.last_loss,
                a.last_step
            )
        when l.first is not null
        then printf('the loss was %.2f at first and is %.2f at best', l.first, l.last)
    end as words
from l
left join again a on a.model is not distinct from l.model and a.first_step = l.first_step
