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
-- fires on:   zoo/other-loop, zoo/other-pairs, zoo/crossed-pairs
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
with
    crossed as (  -- the gradients of one model were applied to another, and the one that gave them was kept
        select
            any_value(moved.updates) as updates,
            any_value(moved.model) as other,
            any_value(own.model) as kept,
            bool_or(own.saves > 0) as saved
        from models moved
        join models own on moved.run = own.run and moved.process = own.process
        where
            moved.run = run_of(b)
            and moved.updates > 0
            and moved.gradients = 0
            and moved.saves = 0
            and own.gradients > 0
            and own.updates + own.writes = 0
            and own.saves + own.generations > 0
            and own.copied_from is null
        having count(*) = 1
    )
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
where s.updates > 0 and not exists (from crossed)
union all
select
    'model',
    counted(updates, 'update') || ' went to the model ' || other || ', of which no gradient was taken',
    'the model '
    || kept
    || ', of which all gradients were, '
    || case when saved then 'was saved' else 'answered' end
    || ' and never updated',
    true,
    (select min_by(place, sequence) from events where run = run_of(b) and kind = 'update' and model = other)
from crossed
order by subject
