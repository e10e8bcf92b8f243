-- No update was ever applied.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, saved-untrained, error-swallowed,
-- loss-not-decreasing, loss-constant
-- claim:      No optimizer ever updated a model: {observed}.
-- clean:      the updates ({observed})
-- rules out:  nothing-trainable
-- needs:      updates, every_event, every_step
-- reads:      stillness
-- nothing:    an attempt to train
-- setting:    iters
-- fix:        {fix_}
-- fires on:   zoo/unstepped-pipeline-names, zoo/unstepped-pipeline-flat, zoo/unstepped-classes
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
select
    'updates' as subject,
    s.updates
    || ' updates, '
    || s.gradients
    || ' gradients'
    || case
        when s.errors > 0 and s.updates = 0
        then
            '; '
            || s.call
            || ' raised '
            || s.type
            || ' '
            || counted(s.errors, 'time')
            || ', and the program went on'
        when s.unwritten > 0
        then
            '; '
            || counted(s.unwritten, 'result')
            || ' of Optimizer.apply_gradients '
            || if(s.unwritten = 1, 'was', 'were')
            || ' never put into the model'
        when s.exception is not null and s.updates = 0
        then '; the program ended with ' || s.exception
        else ''
    end as observed,
    'an update for each gradient' as expected,
    s.cause is not distinct from 'optimizer-never-stepped' as fault,
    coalesce(s.error_place, s.grad_place) as place,
    case
        when s.errors > 0
        then 'let the exception out of the loop, and mend ' || s.call
        when s.exception is not null
        then 'mend the ' || s.exception || ' that ended the program before its first update'
        when s.unwritten > 0
        then
            'put what apply_gradients returns into the model, model.update(...), or call optimizer.update(model, '
            || 'gradients), which does'
        when s.gradients = 0
        then 'the loop ran zero times: check how the number of steps is computed, and fail where it is 0'
        else
            'call optimizer.update(model, gradients) after each gradient; gradients are nested like the '
            || 'model, so a filter by name needs tree_flatten and tree_unflatten'
    end as fix_
from stillness s
where s.tries
order by subject
