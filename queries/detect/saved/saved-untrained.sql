-- What was saved is the state from before training.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, output-unchanged, score-dropped,
-- saved-before-last-update
-- claim:      The file holds the parameters from before training: {observed}.
-- clean:      the state that was saved ({observed})
-- rules out:  adapter-not-loaded, saved-before-last-update
-- needs:      saved, parameters, end
-- reads:      own_moves, saves_held
-- nothing:    a saved file of a model that training moved
-- fix:        save after the last update, from the live model: mx.save_safetensors(path,
-- dict(tree_flatten(model.trainable_parameters())))
-- harmless:   a first checkpoint before training, where a later file holds the trained state
-- fires on:   zoo/early-functions, zoo/early-remembered, zoo/fresh-conversion-saved
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
with
    s as (select * from saves_held where present > 0),
    any_ as (select bool_or(after > 0 or before < present) as good from s),
    others as (  -- saves of objects that never had an update or a write: what of them is as it was made
        select
            t.process,
            t.save,
            any_value(t.file) as file,
            any_value(t.place) as place,
            any_value(t.model) as model,
            count(*) as n,
            count(*) filter (
                exists (
                    from placements p
                    join captures c using (capture)
                    where
                        c.run = t.run
                        and c.model = t.model
                        and c.point in ('loaded', 'adapted')
                        and p.canonical = t.canonical
                        and p.digest = t.digest
                )
            ) as made,
            count(*) filter (t.digest = m.digest_b) as trained
        from saved_tensors t
        join own_moves m on m.canonical = t.canonical and m.changed
        join models x on x.run = t.run and x.model = t.model
        where t.run = run_of(b) and t.model <> model_of(b) and x.updates = 0 and coalesce(x.writes, 0) = 0
        group by t.process, t.save
    )
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
union all
select
    'save ' || o.save || ' (' || o.file || ')',
    printf(
        'all %d trained tensors in %s are those of object %s as it was made, which had no update',
        o.n,
        o.file,
        o.model
    ),
    'the parameters after training (object ' || model_of(b) || ')',
    o.made = o.n and o.trained = 0,
    o.place
from others o
where not exists (from s)
order by fault desc, subject
