-- What was saved is the state from before training.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, output-unchanged, score-dropped,
-- saved-before-last-update
-- claim:      {observed}: the file holds the parameters from before training.
-- clean:      the state that was saved ({observed})
-- rules out:  adapter-not-loaded, saved-before-last-update
-- needs:      saved, parameters, end
-- reads:      saves_held
-- nothing:    a saved file of a model that training moved
-- fix:        save after the last update, from the live model: mx.save_safetensors(path,
-- dict(tree_flatten(model.trainable_parameters())))
-- harmless:   a first checkpoint before training, where a later file holds the trained state
-- fires on:   zoo/early-functions, zoo/early-remembered
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
with
    s as (select * from saves_held where present > 0),
    any_ as (select bool_or(after > 0 or before < present) as good from s)
select
    'save ' || s.save || ' (' || s.file || ')' as subject,
    case
        when s.before = s.present
        then printf('all %d trained tensors in %s are as before the first update', s.present, s.file)
        when s.after = 0
        then
            printf(
                '%d of %d trained tensors in %s are as before the first update', s.before, s.present, s.file
            )
        else printf('%d of %d trained tensors in %s are as after training', s.after, s.present, s.file)
    end as observed,
    'the parameters after training' as expected,
    s.before = s.present and not any_.good as fault,
    s.place
from s, any_
order by fault desc, s.save
