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
SELECT 'parameters' AS subject, s.moved || ' of ' || s.parameters || ' parameters' AS observed, 'more than 0' AS expected,
    s.moved = 0 AND (s.updates > 0 OR s.gradients > 0 OR s.trainables = 0 OR s.cause IS NOT NULL) AS fault,
    CASE WHEN s.undone_place IS NOT NULL THEN 'the updates moved them, and the state of the beginning was written back: copy the state that is to be kept after an update'
         ELSE 'find why in the causes above; where there are none, look at what was called: forensics query training-events' END AS fix_, s.undone_place AS place
FROM stillness s WHERE s.tries AND s.parameters > 0 AND (s.updates = 0 OR s.trained > 0)
ORDER BY subject
