-- The loss pushes the right tokens away.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, generation-collapse, update-too-large, weights-not-finite
-- claim:      The weights of the loss sum to {observed} in each of {steps:step|steps}: training makes the
-- targets less likely.
-- clean:      the sign of the loss (weights sum to {observed})
-- needs:      loss_tokens, steps
-- nothing:    a loss of one forward a step
-- fix:        minimise the mean of nn.losses.cross_entropy(logits, targets) itself: it is the negative
-- log-likelihood, and needs no minus
-- fires on:   zoo/sign-qlora, zoo/sign-classes
with
    s as (
        select model, avg(weight_sum / forwards) as mean, max(weight_sum) as most, count(*) as n
        from steps
        where
            run = run_of(b)
            and forwards > 0
            and forwards <= coalesce(gradients, 1)
            and weight_sum is not null
            and not isnan(weight_sum)
            and weight_sum <> 0
        group by model
    ),
    t as (  -- a batch of chosen and rejected rows has both signs
        select model, count(*) filter (weight > 0) as plus, count(*) filter (weight < 0) as
        minus
        from loss_tokens
        where run = run_of(b) and is_cross_entropy(residual)
        group by model
    )
select
    'loss of ' || s.model as subject,
    round(s.mean, 3) as observed,
    'above 0' as expected,
    s.most < 0 and t.plus = 0 and t.minus > 0 as fault,
    s.n as steps,
    loss_place(b) as place
from s
join t using (model)
order by fault desc, subject
