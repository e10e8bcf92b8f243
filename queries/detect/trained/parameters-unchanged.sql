-- Training left every parameter as it was.
--
-- severity:   error
-- role:       consequence
-- confidence: certain
-- explains:   output-unchanged, saved-untrained
-- claim:      {observed} differ from before training.
-- clean:      the change of parameters ({observed} differ)
-- needs:      parameters, updates, end
-- reads:      stillness
-- nothing:    an attempt to train
-- fix:        {fix_}
-- fires on:   zoo/rate-compiled, zoo/unstepped-pipeline-names
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
select
    'parameters' as subject,
    s.moved || ' of ' || s.parameters || ' parameters' as observed,
    'more than 0' as expected,
    s.moved = 0 and (s.updates > 0 or s.gradients > 0 or s.trainables = 0 or s.cause is not null) as fault,
    case
        when s.undone_place is not null
        then
            'the updates moved them, and the state of the beginning was written back: copy the state '
            || 'that is to be kept after an update'
        else
            'find why in the causes above; where there are none, look at what was called: forensics '
            || 'query training-events'
    end as fix_,
    s.undone_place as place
from stillness s
where s.tries and s.parameters > 0 and (s.updates = 0 or s.trained > 0)
order by subject
