-- The first step whose loss, gradient or update is NaN or infinite, and which of them was the first
-- (`origin`); `name`: the first parameter that shows it. `mask_left`: positions that the mask of that loss
-- leaves. `logits`: were the logits of that step not finite? One row, of NULLs where all are finite.
--
-- params: b
with
    first as (
        select
            min(step) filter (isnan(loss) or isinf(loss)) as loss_at,
            min(step) filter (nonfinite > 0) as gradient_at,
            min(step) filter (isnan(update_norm) or isinf(update_norm)) as update_at,
            least(loss_at, gradient_at, update_at) as first_at,
            case
                when loss_at = first_at
                then 'loss'
                when gradient_at = first_at
                then 'gradient'
                when update_at = first_at
                then 'update'
            end as origin
        from steps
        where run = run_of(b)
    )
select
    first.*,
    (select max(s.mask_left) from steps s where s.run = run_of(b) and s.step = first.loss_at) as mask_left,
    (
        select coalesce(bool_or(isinf(t.residual)), false)
        from loss_tokens t
        where t.run = run_of(b) and t.step = first.loss_at
    ) as logits,
    (
        select min_by(name, step)
        from gradients
        where run = run_of(b) and (nonfinite or isnan(update_norm) or isinf(update_norm))
    ) as name
from first
