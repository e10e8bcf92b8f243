-- Generation used other parameters than training ended with.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   output-unchanged, score-dropped, generation-collapse, reload-mismatch when into_itself
-- claim:      {n} of {looked} generations after training used {observed}{other}.
-- clean:      the parameters that generation used ({looked:generation|generations}, of them with
-- the trained ones: {trained})
-- rules out:  stale-compiled-function, stale-prompt-cache, adapter-not-loaded, wrong-model-updated
-- needs:      generations, parameters, end
-- long:       seven states that a generation may have used, each with its sentence
-- reads:      asked_after, saves_held, held_in_files
-- nothing:    a generation after training
-- fix:        {fix_}
-- harmless:   a comparison with the base beside answers of the trained model; a running average that is
-- saved; what was trained is no part of the model that generates; the best of several checkpoints, where
-- the program measures them (told as info)
-- fires on:   zoo/copy-before, zoo/copy-unblended, zoo/adapter-zeroed, zoo/older-file
-- silent on:  zoo/healthy-average, zoo/healthy-roundtrip, zoo/healthy-fused
with
    files as (  -- the file whose state a generation used, where another was written after later updates
        select q.generation, max(f.updates) as of_, max(f.later) as later, max_by(f.file, f.updates) as file
        from asked_after q
        join
            (
                select
                    capture,
                    sequence,
                    file,
                    if(same, updates, null) as updates,
                    if(same, null, updates) as later
                from held_in_files
            ) f
            on f.capture = q.capture
            and f.sequence < q.asked
        group by q.generation
        having max(f.later) > max(f.updates)
    ),
    measured as (  -- what was measured before the state was chosen: before a file of it was loaded
        select
            g.generation,
            (
                select count(*)
                from events m
                where
                    m.run = run_of(b)
                    and m.kind in ('evaluate', 'measure')
                    and m.sequence < coalesce(
                        (
                            select max(l.sequence)
                            from events l
                            where
                                l.run = m.run
                                and l.kind = 'load'
                                and l.model = g.model
                                and l.sequence < g.asked
                                and l.detail ->> 'via' is distinct from 'reload'
                        ),
                        g.asked
                    )
            ) + (
                select count(*) filter (outside_forwards > 0)
                from steps
                where run = run_of(b) and model = model_of(b)
            )
            > 1 as best
        from asked_after g
    ),
    asked as (
        -- heads, a projector or a prefix are no part of the model that generates: it is of another class, and
        -- has no such tensor
        select q.*, files.of_, files.later, q.present > 0 or coalesce(x.class = y.class, true) as could_hold
        from asked_after q
        left join files on files.generation = q.generation
        left join models x on x.run = q.run and x.model = q.model
        left join models y on y.run = q.run and y.model = model_of(b)
        where q.moved > 0
    ),
    sums as (
        select
            count(*) filter (used in ('trained', 'saved') and of_ is null) as trained,
            count(*) filter (
                of_ is not null
                or (
                    used in ('start', 'part', 'base alone')
                    and coalesce(saves_of, 0) = 0
                    and model <> model_of(b)
                    and could_hold
                )
                -- the trained object itself, with tensors put back to where training began
                or (
                    model = model_of(b)
                    and used in ('start', 'part')
                    and before > 0
                    and before + after = present
                )
            ) as stale,
            count(*) as n
        from asked
    ),
    kept as (  -- the last file that holds all of what was trained
        select max_by(file || coalesce(', written at ' || place, ''), save) as file
        from saves_held
        where present > 0 and after = present and present = moved
    ),
    loaded as (  -- models that were loaded since training began
        select l.model, bool_or(coalesce((l.detail ->> 'from_adapter')::boolean, false)) as adapter
        from events l
        where
            l.run = run_of(b)
            and l.kind = 'load'
            and l.model <> model_of(b)
            and l.detail ->> 'via' is distinct from 'reload'
            and l.sequence
            > (select min(u.sequence) from events u where u.run = run_of(b) and u.kind in ('update', 'write'))
        group by l.model
    )
select
    'generation ' || g.generation as subject,
    case
        when g.of_ is not null
        then printf('the state of after update %d, of a file that was written then', g.of_)
        when g.used = 'start'
        then 'the parameters from before training'
        when g.used = 'base alone'
        then 'a model without what was trained'
        when g.used = 'part'
        then printf('parameters of which %d of %d are those after training', g.after, g.moved)
        when g.used = 'trained'
        then 'the trained parameters'
        when g.used = 'saved'
        then 'the parameters that were saved'
        else 'another base'
    end || case
        when g.model <> model_of(b) and g.used not in ('trained', 'saved')
        then ' (object ' || g.model || ')'
        else ''
    end as observed,
    if(
        g.of_ is null,
        'the parameters after the last update (object ' || model_of(b) || ')',
        'the state of after update ' || g.later || ', which was saved as well'
    ) as expected,
    sums.trained = 0 and sums.stale = sums.n as fault,
    case
        when g.model = model_of(b) or g.of_ is not null then '' else '; the trained object is another'
    end as other,
    g.asked_at as place,
    sums.trained as trained,
    g.of_ is not null and g.model = model_of(b) as into_itself,
    case
        when g.of_ is not null
        then 'load the file of the last update: names sort as text, checkpoint-80 after checkpoint-120'
        when g.model = model_of(b)
        then 'answer with what was trained: after the last update, tensors of this model were set back'
        when l.model is null or kept.file is null
        then 'generate with the object that optimizer.update was given, or make the copy after training'
        when has_adapter(b) and not l.adapter
        then
            'load the trained adapter with the model: mlx_lm.load(base, adapter_path=...), the directory of '
            || kept.file
        else 'load the file that holds the trained parameters: ' || kept.file
    end as fix_,
    if(g.of_ is not null and measured.best, 'info', 'error') as severity
from asked g
left join measured on measured.generation = g.generation
cross join sums
cross join kept
left join loaded l on l.model = g.model
order by fault desc, g.generation
