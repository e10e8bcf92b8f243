-- All updates went to another object than the one that was kept.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, saved-untrained, stale-model-in-generation, unexplained-change, reload-mismatch
-- claim:      {observed}; {expected}.
-- clean:      which model was updated ({observed})
-- needs:      updates, end
-- reads:      stillness
-- nothing:    an update
-- fix:        train, save and ask one object: pass the model that is saved to nn.value_and_grad(model, ...) and optimizer.update(model, ...); a copy.deepcopy or a second load() is another model
-- fires on:   zoo/other-loop, zoo/other-pairs
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
SELECT 'model' AS subject, s.updates || ' updates went to ' || coalesce(s.other, model_of(b)) AS observed,
    CASE WHEN s.other IS NULL THEN 'the model that is kept' WHEN s.other_saved THEN s.kept || ' was saved and never updated'
         ELSE s.kept || ' answered and was never updated' END AS expected,
    s.cause IS NOT DISTINCT FROM 'wrong-model-updated' AS fault, s.update_place AS place
FROM stillness s WHERE s.updates > 0
ORDER BY subject
