-- The loss is the same number at every step.
--
-- severity:   warning
-- role:       symptom
-- confidence: certain
-- claim:      The loss was {observed} at each of {steps} steps, to the bit.
-- clean:      the loss ({steps} steps, {different} values)
-- needs:      steps, every_step
-- nothing:    a loss of three steps or more
-- params:     a, b, least = 3
-- numbers:    least - losses that were equal to the bit, two may be so by chance
-- fix:        find why nothing was learned in the causes above; where there are none, ask whether the
-- loss depends on what is trained
with
    s as (
        select model, count(loss) as n, count(distinct loss) as different, min(loss) as loss
        from steps
        where run = run_of(b) and not isnan(loss)
        group by model
        having count(loss) >= least
    )
select
    'loss of ' || model as subject,
    loss as observed,
    'a loss that changes' as expected,
    different = 1 as fault,
    n as steps,
    different
from s
order by fault desc, subject
