-- Rows that a model was trained on more than once, with the loss of the first and of the last step that is
-- known to have seen them: rows are kept of the first steps and of a few later ones. What a step's loss is
-- depends on its rows, so that
-- losses of different rows say little of whether it fell.
--
-- params: b
with
    r as (  -- a step's rows, in their order
        select process, model, step, list(row_digest order by forward, row) as digests
        from batch_rows
        where run = run_of(b) and row_digest is not null
        group by process, model, step
    )
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
