-- A loss that takes probabilities in log space is handed something else.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, output-unchanged, generation-collapse, score-dropped, loss-constant,
-- update-too-large
-- claim:      {function} takes log-probabilities, and is handed something else: {observed}.
-- clean:      what losses in log space are handed ({observed})
-- rules out:  learning-rate-zero, gradients-zero
-- needs:      steps
-- nothing:    a loss of the library that takes log-probabilities
-- params:     a, b, whole = 1, rounding = 0.05
-- numbers:    whole - the sum of all probabilities; rounding - of a sum of 16-bit numbers
-- fix:        hand {function} nn.log_softmax(logits) as {argument} (other libraries take probabilities there)
-- harmless:   sums below 1, as of the few largest probabilities of a teacher
-- fires on:   zoo/teacher-probabilities
-- silent on:  zoo/healthy-teacher
select
    detail ->> 'function' || ' ' || (detail ->> 'argument') as subject,
    case
        when (detail ->> 'probabilities')::boolean
        then
            'the '
            || (detail ->> 'argument')
            || ' are never negative and sum to 1, so that they are probabilities themselves'
        when detail ->> 'most' is null
        then 'read as log-probabilities the ' || (detail ->> 'argument') || ' sum to more than 1e30'
        else
            printf(
                'read as log-probabilities the %s sum to %.3g at most',
                detail ->> 'argument',
                (detail ->> 'most')::double
            )
    end as observed,
    'probabilities that sum to 1 at most, in log space' as expected,
    coalesce((detail ->> 'most')::double > whole + rounding, true) as fault,
    detail ->> 'function' as function,
    detail ->> 'argument' as argument,
    place
from events
where run = run_of(b) and kind = 'input' and coalesce(model = model_of(b), true)
order by subject
