-- The optimizer began again where the run went on.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- claim:      {observed}, though {expected}.
-- clean:      the optimizer's state ({observed})
-- needs:      steps, every_step
-- reads:      meant_free
-- nothing:    a second phase of training
-- fix:        {fix_}
-- harmless:   one or two phases with another rate, other parameters in each phase, weights that are
-- written between them, or mlx-lm's own trainer, which has no way to keep the state: told as info
-- fires on:   zoo/restarted-stages, zoo/restarted-resume
-- silent on:  zoo/healthy-resume, zoo/healthy-stages
with
    u as materialized(  -- which optimizer updated which model, from when to when
        select
            model,
            optimizer,
            min(step) as first,
            max(step) as last,
            count(*) as n,
            sum(count(*)) over (partition by model order by max(step)) as done
        from steps
        where run = run_of(b) and optimizer is not null
        group by model, optimizer
    ),
    o as materialized(
        select
            c.model,
            o.optimizer,
            any_value(o.class) as class,
            max(o.step) as step,
            arg_max(o.learning_rate, c.sequence) as rate,
            arg_max(o.settings, c.sequence) as settings,
            max(o.state_l2) as state,
            max(o.state_tensors) as tensors
        from optimizers o
        join captures c using (capture)
        where c.run = run_of(b)
        group by c.model, o.optimizer
    ),
    updating as (  -- from the first update of the first optimizer to that of the last
        select min(sequence) as first, max(sequence) as last
        from events
        where run = run_of(b) and kind = 'update'
    ),
    own as (  -- a phase that begins from loaded weights, or in mlx-lm's own trainer
        select
            count(*) filter (kind = 'train') as n,
            count(*) filter (
                kind = 'load'
                and detail ->> 'what' in ('weights', 'adapter')
                and detail ->> 'via' <> 'reload'
                and sequence between first and last
            ) as loads,
            count(*) filter (
                kind in ('write', 'convert', 'fuse') and sequence between first and last
            ) as writes
        from events, updating
        where run = run_of(b)
    ),
    updated as (  -- do all optimizers of a model update the same parameters, as far as was kept?
        select model, count(distinct names) = 1 and count(distinct optimizer) > 1 as alike
        from
            (
                select s.model, s.step, s.optimizer, list(g.name order by g.name) as names
                from steps s
                join gradients g using (run, process, model, step)
                where s.run = run_of(b)
                group by all
            )
        group by model
    ),
    again as (  -- the same object under one optimizer and then, once that one is done, under the next
        select
            y.model,
            x.done as before,
            q.class,
            q.step as step,
            y.n,
            q.step > y.n as kept,
            p.rate = q.rate and p.settings = q.settings and p.class = q.class as same,
            count(*) filter (
                q.step <= y.n and p.settings = q.settings and p.class = q.class and p.tensors = q.tensors
            ) over (partition by y.model) as times
        from u y
        asof join u x on x.model = y.model and x.last < y.first
        join o p on p.model = x.model and p.optimizer = x.optimizer
        join o q on q.model = y.model and q.optimizer = y.optimizer
        where q.state > 0
    ),
    later as (  -- another object that begins where one that was trained has ended
        select distinct x.model as former, y.model as model
        from placements p
        join captures x on x.capture = p.capture and x.run = run_of(b) and x.source = 'live' and x.updates > 0
        join placements q on q.digest = p.digest and q.canonical = p.canonical and q.trainable
        join
            captures y
            on y.capture = q.capture
            and y.run = x.run
            and y.point = 'start'
            and y.model <> x.model
            and y.sequence > x.sequence
        where
            p.trainable
            and not exists (
                select 1
                from placements z
                join captures c on c.capture = z.capture
                where
                    c.run = x.run
                    and c.model = x.model
                    and c.point = 'start'
                    and z.canonical = p.canonical
                    and z.digest = p.digest
            )
    ),
    resumed as (
        select
            l.model,
            p.n as before,
            s.class,
            s.step,
            y.n,
            s.step > 0 and s.state_l2 > 0 as kept,
            p_.rate = q.rate and p_.settings = q.settings and p_.class = q.class as same,
            0 as times
        from later l
        join u p on p.model = l.former
        join u y on y.model = l.model
        join o p_ on p_.model = p.model and p_.optimizer = p.optimizer
        join o q on q.model = y.model and q.optimizer = y.optimizer
        join captures c on c.run = run_of(b) and c.model = l.model and c.point = 'start'
        join optimizers s on s.capture = c.capture and s.optimizer = y.optimizer
        where q.state > 0
    ),
    every as (
        select *, 'stage' as kind
        from again
        union all
        select *, 'resume'
        from resumed
    ),
    one as (
        select 'updates' as subject, 'one optimizer made all ' || sum(n) || ' updates' as observed
        from u
        having count(*) > 0
    )
select
    every.model || ' after ' || counted(before, 'update') as subject,
    case
        when kept
        then class || ' went on from its state'
        else
            class
            || ' began at step 0 with empty moments'
            || case when times > 1 then printf(', %d times in all', times) else '' end
    end as observed,
    counted(before, 'update') || ' had been made' as expected,
    not kept as fault,
    case
        when own.n > 0
        then 'info'
        when exists (from meant_free f where f.why = 'merged')
        then 'info'  -- merged, and the adapter began anew with it
        when same and (kind = 'resume' or own.loads + own.writes = 0)
        then 'error'
        when times > 2 and coalesce(updated.alike, false) and own.loads + own.writes = 0
        then 'error'
        else 'info'
    end as severity,  -- so often is no phase, whatever the rate
    (
        select max_by(place, sequence)
        from events
        where run = run_of(b) and kind = 'update' and events.model = every.model
    ) as place,
    case
        when kind = 'stage'
        then 'make the optimizer once, outside the function that each stage calls'
        else
            'save optimizer.state (mx.save_safetensors(path, dict(tree_flatten(optimizer.state)))) and '
            || 'put it back: optimizer.state = tree_unflatten(list(mx.load(path).items()))'
    end as fix_
from every
join own on true
left join updated using (model)
union all
select subject, observed, 'its state is kept', false, null, null, null
from one
where not exists (from every)
order by fault desc, length(subject), subject
