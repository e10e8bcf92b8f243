-- What was kept as the best state is the live one, or another than the best that was measured.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   score-dropped, saved-before-last-update
-- claim:      {subject}: {observed}, where {expected}.
-- clean:      the best state ({observed})
-- rules out:  saved-before-last-update
-- needs:      steps, every_event
-- reads:      measured_best, best_overwritten
-- nothing:    a best value that the program keeps of what it measures
-- long:       three ways in which the best is lost, each with its own sentence
-- params:     a, b, often = 3, apart = 0.01
-- numbers:    often - measurements from which a best can be told; apart - share of the worst by which the
-- best is below it, more than an improvement that a program demands
-- fix:        {fix_}
-- fires on:   zoo/best-live, zoo/best-alias, zoo/best-inverted, zoo/best-overwritten
-- silent on:  zoo/healthy-recipe
with
    saved as (  -- the last file whose name says that it is the best
        select
            (e.detail ->> 'save')::integer as save,
            (e.detail ->> 'rewritten')::integer as rewritten,
            any_value(t.updates) as updates,
            any_value(t.file) as file,
            e.place
        from events e
        join
            saved_tensors t
            on t.run = e.run
            and t.process = e.process
            and t.save = (e.detail ->> 'save')::integer
            and t.model = e.model
        where
            e.run = run_of(b) and e.model = model_of(b) and e.kind = 'save' and (e.detail ->> 'best')::boolean
        group by all
        order by save desc
        limit 1
    ),
    newest as (
        select max_by(name, changed) as name, max(changed) as changed, min(coalesce(changed, -1)) as known
        from measured_best
    )
select
    save.file || ', saved as the best' as subject,
    if(
        rewritten = 0,
        'it holds the model as it was after update ' || updates,
        'the model was written anew after update ' || updates
    ) as observed,
    n.name || ' changed last after update ' || n.changed as expected,
    rewritten = 0 and n.changed < updates as fault,
    save.place,
    'keep a copy of the arrays, dict(tree_flatten(model.trainable_parameters())), when the best is measured, '
    || 'and put it back before saving: model.load_weights(list(kept.items()), strict=False)' as fix_,
    'certain' as confidence
from saved save, newest n
where n.changed > 0 and n.known >= 0
union all
select
    file || ', written whenever ' || name || ' changed',
    'it was written over by the model as it was after update ' || updates,
    name || ' changed last after update ' || best_at,
    true,
    place,
    'write the best to a file that nothing else writes: train() writes its last state to adapter_file',
    'certain'
from best_overwritten
union all
select
    name,
    case
        when value is null
        then 'it was never set'
        when not of_them and value = 0
        then 'it is still 0'
        when of_them
        then 'it is ' || brief(value) || coalesce(', measured after update ' || changed, '')
        else 'it is ' || brief(value)
    end,
    'the least of ' || n || ' measured is ' || brief(least) || ', after update ' || least_at,
    lower
    and n >= often
    and most - least > apart * abs(most)
    and (value is null or (not of_them and value = 0) or (of_them and value = most)),
    (select place from saved),
    'less is better: compare with <, and begin with float(''inf'')',
    'strong'
from measured_best
where least is not null
order by fault desc, subject
