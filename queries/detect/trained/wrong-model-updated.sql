-- All updates went to another object than the one that was kept.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, saved-untrained,
-- stale-model-in-generation, unexplained-change, reload-mismatch
-- claim:      {observed}; {expected}.
-- clean:      which model was updated ({observed})
-- needs:      updates, end, every_step
-- reads:      stillness
-- nothing:    an update
-- fix:        train, save and ask one object: pass the model that is saved to nn.value_and_grad(model,
-- ...) and optimizer.update(model, ...); a copy.deepcopy or a second load() is another model
-- fires on:   zoo/other-loop, zoo/other-pairs
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
select
    'model' as subject,
    counted(s.updates, 'update') || ' went to the model ' || coalesce(s.other, model_of(b)) as observed,
    case
        when s.other is null
        then 'the model that is kept'
        when s.other_saved
        then 'the model ' || s.kept || ' was saved and never updated'
        else 'the model ' || s.kept || ' answered and was never updated'
    end as expected,
    s.cause is not distinct from 'wrong-model-updated' as fault,
    s.update_place as place
from stillness s
where s.updates > 0
order by subject
