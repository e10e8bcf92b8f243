-- The loss pushes the right tokens away.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, generation-collapse, update-too-large, weights-not-finite
-- claim:      {what} in each of {steps:step|steps}: training makes the targets less likely.
-- clean:      the sign of the loss and its gradient ({subject}: {observed})
-- needs:      steps
-- nothing:    a loss over tokens of one forward a step, a gradient that was seen on its way to the optimizer
-- params:     a, b, turned = -0.9
-- numbers:    turned - cosine of what the optimizer received to the gradient that was evaluated: exactly -1
-- where the sign was turned, and clipping by value leaves it near
-- fix:        minimise the mean of nn.losses.cross_entropy(logits, targets) itself: it is the negative
-- log-likelihood, and needs no minus, neither in the loss nor before optimizer.update
-- harmless:   what is to be unlearned: allow the finding
-- fires on:   zoo/sign-qlora, zoo/sign-classes, zoo/gradient-turned
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
        where
            run = run_of(b)
            and is_cross_entropy(residual)
            and (select gap from need_loss_tokens(a, b)) is null
        group by model
    ),
    ways as (  -- on the way from the gradient function to the optimizer
        select model, max(along) as most, count(*) as n, max_by(loss, step) > min_by(loss, step) as grew
        from steps
        where run = run_of(b) and along is not null
        group by model
    )
select
    'loss of ' || s.model as subject,
    round(s.mean, 3)::varchar as observed,
    'above 0' as expected,
    s.most < 0 and t.plus = 0 and t.minus > 0 as fault,
    'error' as severity,
    'certain' as confidence,
    s.n as steps,
    'The weights of the loss sum to ' || round(s.mean, 3) as what,
    loss_place(b) as place
from s
join t using (model)
union all
select
    'gradient of ' || u.model,
    printf('a cosine of at most %.3g to the gradient that was evaluated', u.most),
    'above 0',
    u.most < turned,
    case when u.grew then 'error' else 'warning' end,
    case when u.grew then 'certain' else 'possible' end,
    u.n,
    'The optimizer received the gradient with its sign turned',
    (select any_value(place) from events where run = run_of(b) and kind = 'update')
from ways u
order by fault desc, subject
