-- Gradients were evaluated, and what reached the optimizer was zero.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   gradients-zero, parameters-unchanged, output-unchanged, lora-inert, loss-constant,
-- loss-not-decreasing, saved-untrained, uniform-decay
-- claim:      A gradient was evaluated at each of {observed} steps, and nothing of it reached the
-- optimizer{how}.
-- clean:      what became of the gradients (at least {least} of one reached the optimizer)
-- rules out:  gradients-zero, learning-rate-zero
-- needs:      steps
-- nothing:    a step of which the gradient was seen before and at the update
-- fix:        {fix_}
-- harmless:   single steps that are left out, as an accumulation or a loss scale does
-- fires on:   zoo/clipped-to-zero, zoo/masked-gradients
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora
with
    seen as (
        select
            count(*) as n,
            count(*) filter (through = 0 and gradient_norm = 0) as zero,
            min(through) filter (through > 0) as least
        from
            (
                select gradient_norm, coalesce(passed, abs(accumulation)) as through
                from steps
                where run = run_of(b) and model = model_of(b)
            )
        where through is not null
    ),
    clipped as (
        select min_by(place, sequence) as place, min((detail ->> 'max_norm')::double) as norm
        from events
        where run = run_of(b) and kind = 'grad' and detail ->> 'via' = 'clip_grad_norm'
    ),
    updated as (
        select min_by(place, sequence) as place
        from events
        where run = run_of(b) and kind = 'update' and model = model_of(b)
    )
select
    'the gradient' as subject,
    seen.n as observed,
    'a gradient that is not zero' as expected,
    seen.zero = seen.n as fault,
    percent(least(seen.least, 1)) as least,
    case when clipped.norm = 0 then ': it is clipped to norm 0' else '' end as how,
    case when clipped.norm = 0 then clipped.place else updated.place end as place,
    case
        when clipped.norm = 0
        then
            'leave the clipping out where the norm is 0: clip_grad_norm(gradients, 0) makes every '
            || 'gradient zero'
        else 'look at what stands between the gradient and the update: a mask, a filter by name, a scale'
    end as fix_
from seen, clipped, updated
where seen.n > 0
order by subject
