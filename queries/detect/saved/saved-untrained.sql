-- What was saved is the state from before training.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, output-unchanged, score-dropped, saved-before-last-update
-- claim:      {observed}: the file holds the parameters from before training.
-- clean:      the state that was saved ({observed})
-- rules out:  adapter-not-loaded, saved-before-last-update
-- needs:      saved, parameters, end
-- reads:      saves_held
-- nothing:    a saved file of a model that training moved
-- fix:        save after the last update, from the live model: mx.save_safetensors(path, dict(tree_flatten(model.trainable_parameters())))
-- harmless:   a first checkpoint before training, where a later file holds the trained state
-- fires on:   zoo/early-functions, zoo/early-remembered
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
WITH s AS (SELECT * FROM saves_held WHERE present > 0), any_ AS (SELECT bool_or(after > 0 OR before < present) AS good FROM s)
SELECT 'save ' || s.save || ' (' || s.file || ')' AS subject,
    CASE WHEN s.before = s.present THEN printf('all %d trained tensors in %s are as before the first update', s.present, s.file)
         WHEN s.after = 0 THEN printf('%d of %d trained tensors in %s are as before the first update', s.before, s.present, s.file)
         ELSE printf('%d of %d trained tensors in %s are as after training', s.after, s.present, s.file) END AS observed,
    'the parameters after training' AS expected, s.before = s.present AND NOT any_.good AS fault, s.place
FROM s, any_
ORDER BY fault DESC, s.save
