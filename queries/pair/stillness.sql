-- Why nothing moved: the first of the causes that holds, in the order in which one hides the next. One row;
-- `cause` is NULL where training went on.
-- `trainables`: tensors in the trainable set when training was tried. `moved`: parameters that differ from
-- the beginning of training. `undone_place`: where what the steps had moved was written over, so that
-- nothing is moved at the end.
--
-- params: a, b
-- reads:  moves, stateless_steps, step_extremes, trainables, updated_twin
-- long:   one row for nine detectors; the cases of `cause` stand in the order in which one hides the next
with
    k as materialized(select run_of(b) as run, model_of(b) as model, tries(b) as tries),
    own as (
        select
            coalesce(sum(m.updates), 0) as updates,
            coalesce(sum(m.writes), 0) as writes,
            coalesce(sum(m.gradients), 0) as gradients,
            coalesce(sum(m.unwritten), 0) as unwritten,
            coalesce(sum(m.updates) filter (m.model = k.model), 0) as updated,
            count(*) filter (m.updates is null) as unknown
        from models m
        join k on m.run = k.run
    ),
    moved as (  -- of several models that were trained, the one that moved least
        select arg_min(n, moved) as n, min(moved) as moved, arg_min(trained, moved) as trained
        from
            (
                select
                    model,
                    count(*) as n,
                    count(*) filter (changed) as moved,
                    count(*) filter (trainable) as trained
                from moves
                group by model
            )
    ),
    held as (  -- a file of an adapter alone shares no name with the model as it was loaded
        select bool_and(q.digest is not null) as still
        from placements p
        left join
            (
                select distinct p.canonical, p.digest
                from placements p
                join captures c on c.capture = p.capture
                join k on c.run = k.run and c.model = k.model
                where c.source = 'live'
            ) q
            on q.canonical = p.canonical
            and q.digest = p.digest
        where p.capture = capture_of(b) and p.role <> 'optimizer'
    ),
    dead as (  -- an adapter whose factors or scale give no gradient is a fault of its own
        select coalesce(bool_and(each), false) as dead
        from
            (
                select
                    bool_and(coalesce(p.zeros = p.size, false))
                    or bool_or(coalesce(x.scale = 0, false)) as each
                from parameters p
                join trainables t on p.capture = coalesce(t.started, capture_of(b))
                left join modules x on x.capture = p.capture and x.module = p.module
                where p.role in ('lora_a', 'lora_b')
                group by p.module
            )
    ),
    ended as (select any_value(exception) as exception from endings(b)),
    put as (
        select max_by(e.place, e.sequence) as place
        from events e
        join k on e.run = k.run and e.model = k.model
        where e.kind = 'write' and (e.detail ->> 'after_gradient')::boolean
    ),
    failed as (
        select
            count(*) as n,
            any_value(e.detail ->> 'call') as call,
            any_value(e.detail ->> 'type') as type,
            any_value(e.place) as place
        from events e
        join k on e.run = k.run
        where
            e.kind = 'error'
            and (e.detail ->> 'caught')::boolean
            and regexp_matches(e.detail ->> 'call', 'value_and_grad|mx.grad|Optimizer|mlx_lm.train')
    )
select
    k.tries,
    t.trainables,
    t.set_place,
    own.updates,
    own.updated,
    own.writes,
    own.gradients,
    own.unwritten,
    moved.n as parameters,
    moved.moved,
    moved.trained,
    other.model as other,
    other.kept,
    other.updates as other_updates,
    other.saved as other_saved,
    steps_.steps,
    steps_.measured,
    steps_.gradient,
    steps_.rate,
    steps_.rates,
    steps_.forwards,
    ended.exception,
    failed.n as errors,
    failed.call,
    failed.type,
    failed.place as error_place,
    t.grad_place,
    t.update_place,
    case
        when steps_.change > 0 and moved.moved = 0 and fixed.calls is null then put.place
    end as undone_place,
    case
        when not k.tries
        then null
        when t.trainables = 0 and own.updated = 0
        then 'nothing-trainable'
        when
            own.updates = 0
            and own.unknown = 0
            and (own.unwritten > 0 or not mostly(own.writes, own.gradients))
            and coalesce(moved.moved = 0, held.still, false)
        then 'optimizer-never-stepped'
        when other.model is not null
        then 'wrong-model-updated'
        when fixed.calls is not null
        then 'compile-state-not-captured'
        when steps_.measured > 0 and steps_.gradient = 0 and steps_.passed = 0
        then 'gradient-discarded'  -- one was evaluated that was not
        when steps_.measured > 0 and steps_.gradient = 0 and not dead.dead
        then 'gradients-zero'
        when steps_.rates > 0 and steps_.rate = 0
        then 'learning-rate-zero'
        when
            own.updated > 0
            and moved.trained > 0
            and moved.moved = 0
            and steps_.gradient > 0
            and not dead.dead
            and coalesce(steps_.change, 0) = 0
        then 'update-lost-to-rounding'
    end as cause
from
    k,
    trainables t,
    own,
    moved,
    held,
    updated_twin other,
    stateless_steps fixed,
    step_extremes steps_,
    dead,
    ended,
    put,
    failed
