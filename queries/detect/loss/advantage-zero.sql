-- Every coefficient of a policy loss is zero.
--
-- severity:   warning
-- role:       cause
-- confidence: strong
-- explains:   gradients-zero, parameters-unchanged, output-unchanged, lora-inert, loss-constant,
-- loss-not-decreasing, saved-untrained
-- claim:      In {zero} of {n_} steps on answers that the model drew itself, no token carries weight: every
-- advantage was zero, so all answers of a group were rewarded alike.
-- clean:      the coefficients of the policy loss ({live} of {n_} steps have some that are not zero)
-- rules out:  learning-rate-zero
-- needs:      steps
-- reads:      drawn_steps
-- nothing:    training on answers that the model drew itself
-- fix:        print the rewards of one group: where all are equal, nothing is learned. Let the reward tell
-- answers apart (format, length, part of the truth), or draw more varied ones
-- harmless:   some groups that are all right or all wrong (told as info)
-- fires on:   zoo/rewards-alike
-- silent on:  zoo/healthy-rewards
with
    sums as (
        select count(*) as n_, count(*) filter (zero) as zero, count(*) filter (not zero) as live
        from drawn_steps
    )
select
    'the advantages' as subject,
    zero || ' of ' || n_ || ' steps have no token with weight' as observed,
    'rewards that differ within a group' as expected,
    zero > 0 as fault,
    case when live = 0 then 'warning' else 'info' end as severity,
    gradient_place(b) as place,
    zero,
    n_,
    live
from sums
where n_ > 0
order by subject
