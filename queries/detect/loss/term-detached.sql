-- A term of the loss carries no gradient.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- claim:      In {steps} of {looked_} steps a forward pass inside the loss got no gradient back: {observed}.
-- clean:      the terms of the loss (each forward gets its gradient)
-- needs:      steps, every_step
-- nothing:    a forward pass inside the loss
-- params:     a, b, often = 0.5
-- numbers:    often - in half of the steps, so that it is how the loss is made, a branch that is taken now
-- and then is not
-- fix:        keep every term in mx: numpy, .item(), .tolist() and mx.stop_gradient make a constant of it
-- harmless:   a reference model, or a second forward of the same rows, whose logits are constants on purpose
-- fires on:   zoo/detached-pairs, zoo/detached-mixed
-- silent on:  zoo/healthy-mixed, zoo/healthy-pairs
with
    s as (
        select
            model,
            count(*) as n,
            count(*) filter (silent_forwards > 0) as silent,
            max(forwards) as spoke,
            max(silent_forwards) as mute
        from steps
        where run = run_of(b) and silent_forwards is not null
        group by model
        having max(forwards) > 0
    )
select
    'loss of ' || model as subject,
    case
        when silent > 0
        then counted(mute, 'forward') || ' without a gradient beside ' || spoke || ' with one'
        else counted(spoke, 'forward') || ', each with a gradient'
    end as observed,
    'a gradient for each forward' as expected,
    silent >= often * n as fault,
    silent as steps,
    n as looked_,
    loss_place(b) as place
from s
order by fault desc, subject
