-- Every gradient was exactly zero.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, loss-constant, loss-not-decreasing,
-- saved-untrained, uniform-decay, term-detached
-- claim:      The gradient was exactly zero at each of {observed} updates: {why}.
-- clean:      the gradients (largest norm {norm})
-- needs:      steps, every_step
-- reads:      drawn_steps, stillness
-- nothing:    an update whose gradient was measured
-- fix:        {fix_}
-- fires on:   zoo/gradient-loop, zoo/gradient-classes
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
select
    'gradient' as subject,
    s.measured as observed,
    'a norm above 0' as expected,
    s.cause is not distinct from 'gradients-zero' as fault,
    s.gradient as norm,
    s.grad_place as place,
    case
        when drawn.zero
        then 'every coefficient of the policy loss is zero'
        when coalesce(s.forwards, 0) > 0
        then 'no output of the model has weight in the loss'
        else 'the loss does not depend on the model'
    end as why,
    case
        when coalesce(s.forwards, 0) = 0
        then
            'call the model inside the function that nn.value_and_grad differentiates; outputs that '
            || 'were computed before it, stop_gradient, or values that went through numpy or .item() are '
            || 'constants to it'
        when drawn.zero
        then 'look at the rewards of one group: where all are equal, every advantage is zero'
        else 'the loss gives no token a weight: check its mask'
    end as fix_
from stillness s, (select coalesce(bool_or(zero), false) as zero from drawn_steps) drawn
where s.measured > 0
order by subject
