-- What was saved is a state from the middle of training.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, score-dropped
-- claim:      {written}: {observed}.
-- clean:      the last save ({seen})
-- rules out:  saved-untrained, adapter-incomplete
-- needs:      saved, parameters, end, every_step
-- reads:      own_moves, saves_held
-- nothing:    a saved file of a model that training moved
-- setting:    save_every, iters
-- fix:        save once more after the loop, when the last optimizer.update is done
-- harmless:   the best of several checkpoints, where the program measures them; arrays that no live model
-- holds, a running average among them (told as info)
-- fires on:   zoo/midway-functions, zoo/midway-class
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
with
    s as (select * from saves_held where present > 0),
    any_ as (select bool_or(after = present) as good, max(save) as last, max(updates) as latest from s),
    between_ as (
        -- arrays that no live model holds, none as before training or after it, and no cast of either
        select s.process, s.save, bool_and(coalesce(x.dtype = y.dtype, false)) as other
        from s
        join saved_tensors t on t.run = run_of(b) and t.process = s.process and t.save = s.save
        join own_moves m on m.canonical = t.canonical and m.changed
        left join tensors x on x.digest = coalesce(t.digest_on_disk, t.digest)
        left join tensors y on y.digest = m.digest_b
        where s.updates is null and s.total > 0 and s.present = s.moved and s.after = 0 and s.before = 0
        group by s.process, s.save
    ),
    measured as (
        select
            (select count(*) from events e where e.run = run_of(b) and e.kind = 'evaluate') + (
                select count(*) filter (x.outside_forwards > 0)
                from steps x
                where x.run = run_of(b) and x.model = model_of(b)
            ) as n
    )
select
    'save ' || s.save || ' (' || s.file || ')' as subject,
    case
        when s.after = s.present
        then printf('all %d trained tensors are as after the last update', s.present)
        else
            printf(
                '%d of %d trained tensors differ from those after the last update',
                s.present - s.after,
                s.present
            )
    end as observed,
    'the parameters after the last update' as expected,
    not any_.good
    and s.save = any_.last
    and s.before < s.present
    and (
        coalesce(any_.latest > 0 and any_.latest < s.total, false) or coalesce(between_.other, false)
    ) as fault,
    s.place,
    s.updates,
    s.total,
    case
        when s.updates is null
        then 'The last file holds arrays of no live model, of a state in between or averaged'
        else 'The last file was written after update ' || s.updates || ' of ' || s.total
    end as written,
    case
        when s.updates is null
        then printf('%d of %d trained tensors are as after the last update', s.after, s.present)
        else 'after update ' || s.updates || ' of ' || s.total
    end as seen,
    case when measured.n > 1 or between_.other then 'info' else 'error' end as severity,
    case when between_.other then 'possible' end as confidence
from s
cross join any_
cross join measured
left join between_ on between_.process = s.process and between_.save = s.save
order by fault desc, s.save desc
