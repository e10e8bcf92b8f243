-- How each model's gradients were gathered for its updates. `usual`: gradients for an update, `ratio`: what
-- was
-- applied over the sum of its gradients, `whole`: the weights of one batch, which sum to 1 in a mean over its
-- tokens that is not yet divided. `kept`: what was gathered before stays, so that the norm only grows, and
-- more
-- is applied than the batches of one update gave.
--
-- params: b, first_ = 8, grows = 2, adds = 1.2
-- numbers: first_ - updates whose norms are looked at, each larger than the one before, by chance once in
-- 40,000 (8!); grows - times from the first to the last of them; adds - times what the batches of one update
-- give, which nothing but an earlier update explains
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
            (list(gradient_norm order by step) filter (accumulation is not null))[:first_] as norms,
            (list(accumulation order by step) filter (accumulation is not null))[:first_] as parts
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
    coalesce(
        len(norms) = first_
        and isfinite(norms[first_])
        and list_sort(norms) = norms
        and norms[first_] >= grows * norms[1]
        and list_aggregate(parts[2:], 'median') > adds * parts[1],
        false
    ) as kept
from s
left join whole using (model)
