-- Every coefficient of a policy loss is zero.
--
-- severity:   warning
-- role:       cause
-- confidence: strong
-- explains:   gradients-zero, parameters-unchanged, output-unchanged, lora-inert, loss-constant,
-- loss-not-decreasing, saved-untrained
-- claim:      In {zero} of {n_} steps on answers that the model drew itself, no token carries weight{why}.
-- clean:      the coefficients of the policy loss ({live} of {n_} steps have some that are not zero)
-- rules out:  learning-rate-zero
-- needs:      steps
-- reads:      drawn_steps
-- nothing:    training on answers that the model drew itself
-- fix:        {fix_}
-- harmless:   some groups that are all right or all wrong (told as info)
-- fires on:   zoo/rewards-alike
-- silent on:  zoo/healthy-rewards
with
    sums as (
        select
            count(*) as n_,
            count(*) filter (zero) as zero,
            count(*) filter (not zero) as live,
            max(coefficient) filter (zero) as coefficient
        from drawn_steps
    )
select
    'the advantages' as subject,
    zero || ' of ' || n_ || ' steps have no token with weight' as observed,
    'rewards that differ within a group' as expected,
    zero > 0 as fault,
    case
        when live = 0 and coefficient > 0 then 'error' when live = 0 then 'warning' else 'info'
    end as severity,
    case
        when coefficient > 0
        then
            printf(
                ', though the loss was handed coefficients of both signs, up to %.3g: what they multiply does '
                || 'not depend on the model',
                coefficient
            )
        when coefficient = 0
        then ': every advantage was zero, so all answers of a group were rewarded alike'
        else ', as where every advantage is zero since all answers of a group were rewarded alike'
    end as why,
    case
        when coefficient > 0
        then
            'multiply the advantages by the ratio of the new probabilities to the old, or by the new log '
            || 'probabilities: in this loss it is a constant (a branch that was not taken, stop_gradient)'
        else
            'print the rewards of one group: where all are equal, nothing is learned. Let the reward tell '
            || 'answers apart (format, length, part of the truth), or draw more varied ones'
    end as fix_,
    gradient_place(b) as place,
    zero,
    n_,
    live
from sums
where n_ > 0
order by subject
