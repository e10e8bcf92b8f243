-- The optimizer began again where the run went on.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- claim:      {observed}, though {expected}.
-- clean:      the optimizer's state ({observed})
-- needs:      steps, every_step
-- long:       the cases that make it an error or a word stand together, as each excludes the next
-- reads:      meant_free, optimizer_phases, optimizers_followed
-- nothing:    a second phase of training
-- params:     a, b, often = 3
-- numbers:    often - new optimizers of one making on the same parameters, which are no phases any more,
-- whatever their rates
-- setting:    resume_adapter_file
-- fix:        {fix_}
-- harmless:   one or two phases with another rate, other parameters in each phase, weights that are
-- written between them, or mlx-lm's own trainer, which has no way to keep the state: told as info
-- fires on:   zoo/restarted-stages, zoo/restarted-resume
-- silent on:  zoo/healthy-resume, zoo/healthy-stages
with
    updating as (  -- from the first update of the first optimizer to that of the last
        select min(sequence) as first, max(sequence) as last
        from events
        where run = run_of(b) and kind = 'update'
    ),
    between_ as (
        -- mlx-lm's own trainer has no way to keep the state; loaded and written weights begin a phase
        select
            count(*) filter (kind = 'train') > 0 as by_trainer,
            count(*) filter (
                sequence between first and last
                and (
                    kind in ('write', 'convert', 'fuse')
                    or (
                        kind = 'load'
                        and detail ->> 'what' in ('weights', 'adapter')
                        and detail ->> 'via' <> 'reload'
                    )
                )
            )
            > 0 as new_weights
        from events, updating
        where run = run_of(b)
    ),
    updated as (  -- do all optimizers of a model update the same parameters, as far as was kept?
        select
            model,
            count(distinct names) = 1 and count(distinct optimizer) > 1 as alike,
            count(distinct names) > 1 and count(distinct optimizer) > 1 as others
        from
            (
                select s.model, s.step, s.optimizer, list(g.name order by g.name) as names
                from steps s
                join gradients g using (run, process, model, step)
                where s.run = run_of(b)
                group by all
            )
        group by model
    )
select
    f.model || ' after ' || counted(before, 'update') as subject,
    if(
        kept,
        class || ' went on from its state',
        class
        || ' began at step 0 with empty moments'
        || if(times > 1, printf(', %d times in all', times), '')
    ) as observed,
    counted(before, 'update') || ' had been made' as expected,
    not kept as fault,
    case
        when by_trainer
        then 'info'
        when exists (from meant_free m where m.why = 'merged')
        then 'info'  -- merged, and the adapter began anew with it
        when updated.others
        then 'info'  -- parameters by turns, with an optimizer for each
        when same and (kind = 'resume' or not new_weights)
        then 'error'
        when times >= often and coalesce(updated.alike, false) and not new_weights
        then 'error'
        else 'info'
    end as severity,
    (
        select
            coalesce(
                max_by(place, sequence) filter (kind = 'optimizer'),
                max_by(place, sequence) filter (kind = 'update')
            )
        from events
        where run = run_of(b) and events.model = f.model
    ) as place,
    if(
        kind = 'stage',
        'make the optimizer once, outside the function that each stage calls',
        'save optimizer.state (mx.save_safetensors(path, dict(tree_flatten(optimizer.state)))) '
        || 'and put it back: optimizer.state = tree_unflatten(list(mx.load(path).items()))'
    ) as fix_
from optimizers_followed f
join between_ on true
left join updated using (model)
union all
select
    'the state that was read',
    o.class || ' began training ' || if(o.step > 0, 'with empty moments', 'at step 0 with empty moments'),
    counted(read_.moments, 'tensor') || ' of an optimizer''s state had been read from a file',
    coalesce(o.state_l2, 0) = 0,
    'error',
    read_.place,
    'put the state into the optimizer that makes the updates, and make no other after it: '
    || 'optimizer.state = tree_unflatten(list(mx.load(path).items()))'
from
    (  -- before the first update
        select max((e.detail ->> 'moments')::bigint) as moments, max_by(e.place, e.sequence) as place
        from events e, updating
        where
            e.run = run_of(b)
            and e.kind = 'load'
            and e.sequence < updating.first
            and (e.detail ->> 'moments')::bigint > 0
    ) read_
join
    (
        select min_by(o, c.sequence) as o
        from optimizers o
        join captures c using (capture)
        where c.run = run_of(b) and c.model = model_of(b) and c.point = 'start'
    )
    on read_.moments > 0
where o.class is not null
union all
select
    'updates', 'one optimizer made all ' || sum(n) || ' updates', 'its state is kept', false, null, null, null
from optimizer_phases
where not exists (from optimizers_followed)
having count(*) > 0
order by fault desc, length(subject), subject
