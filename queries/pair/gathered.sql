-- How each model's gradients were gathered for its updates. `usual`: gradients for an update, `ratio`: what
-- was applied over the sum of its gradients, `whole`: the weights of one batch, which sum to 1 in a mean over
-- its tokens that is not yet divided. `kept`: what was applied before is in what is applied now, whole.
-- `lone`: of the gradients of an update the last alone was applied, `share` times.
--
-- params: b, least_ = 3, near = 0.02
-- numbers: least_ - updates that hold what was applied before; near - how far from the whole of it, which is
-- what sums in bfloat16 round off; momentum by hand keeps a part of it, 0.9 or less
with
    s as materialized(
        select
            model,
            count(*) as updates,
            sum(gradients) as gradients,
            mode(gradients) as usual,
            mode(functions) as functions,
            min_by(gradients, step) as first,
            median(accumulation) as ratio,
            count(*) filter (gradients = 1) as ones,
            max(gradients) as most,
            count(*) filter (carried between 1 - near and 1 + near) as holding,
            count(*) filter (carried is not null) as looked,
            count(*) filter (abs(of_earlier) <= near * abs(of_last)) as alone,
            count(*) filter (of_last is not null) as parted,
            median(of_last) as share,
            arg_min(gradient_norm, step) as norm_first,
            arg_max(gradient_norm, step) as norm_last
        from steps
        where run = run_of(b) and gradients is not null
        group by model
    ),
    whole as (  -- a mean over the tokens of one batch: its weights sum to 1, and are not yet divided
        select model, max(w) as w
        from
            (
                select model, step, forward, sum(weight) as w
                from loss_tokens
                where run = run_of(b)
                group by all
            )
        group by model
    )
select
    s.*,
    whole.w as whole,
    holding >= least_ and mostly(holding, looked) as kept,
    alone >= least_ and mostly(alone, parted) as lone
from s
left join whole using (model)
