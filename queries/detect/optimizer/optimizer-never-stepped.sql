-- No update was ever applied.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, saved-untrained, error-swallowed, loss-not-decreasing, loss-constant
-- claim:      No optimizer ever updated a model: {observed}.
-- clean:      the updates ({observed})
-- rules out:  nothing-trainable
-- needs:      updates
-- reads:      stillness
-- nothing:    an attempt to train
-- fix:        {fix_}
-- fires on:   zoo/unstepped-pipeline-names, zoo/unstepped-pipeline-flat, zoo/unstepped-classes
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
SELECT 'updates' AS subject,
    s.updates || ' updates, ' || s.gradients || ' gradients'
    || CASE WHEN s.errors > 0 AND s.updates = 0 THEN '; ' || s.call || ' raised ' || s.type || ' ' || s.errors || ' times and nobody said so'
         WHEN s.exception IS NOT NULL AND s.updates = 0 THEN '; the program ended with ' || s.exception ELSE '' END AS observed,
    'an update for each gradient' AS expected, s.cause IS NOT DISTINCT FROM 'optimizer-never-stepped' AS fault, coalesce(s.error_place, s.grad_place) AS place,
    CASE WHEN s.errors > 0 THEN 'let the exception out of the loop, and mend ' || s.call
         WHEN s.exception IS NOT NULL THEN 'mend the ' || s.exception || ' that ended the program before its first update'
         WHEN s.gradients = 0 THEN 'the loop ran zero times: check how the number of steps is computed, and fail where it is 0'
         ELSE 'call optimizer.update(model, gradients) after each gradient; gradients are nested like the model, so a filter by name needs tree_flatten and tree_unflatten' END AS fix_
FROM stillness s WHERE s.tries
ORDER BY subject
