-- Why nothing moved: the first of the causes that holds, in the order in which one hides the next. One row;
-- `cause` is NULL where training went on.
-- trainables: tensors in the trainable set when training was tried. moved: parameters that differ from the
-- beginning of training.
-- undone_place: where what the steps had moved was written over, so that nothing is moved at the end.
--
-- params: a, b
-- reads:  held_against, moves
with
    k as materialized(
        select
            run_of(b) as run,
            model_of(b) as model,
            tries(b) as tries,
            (select epoch(any_value(created_at)::timestamptz) from runs where run = run_of(b)) as began
    ),
    live as (
        select
            max_by(c.capture, c.sequence) as capture,
            epoch(max_by(c.created_at, c.sequence)::timestamptz) - any_value(k.began) as at
        from captures c
        join k on c.run = k.run and c.model = k.model
        where c.source = 'live' and c.whole is distinct from false and coalesce(c.updates, 0) = 0
    ),
    last as (  -- freeze and unfreeze say what they left; a capture after them knows better
        select
            max_by(e.kind, e.sequence) as kind,
            max_by((e.detail ->> 'trainable_after')::integer, e.sequence) as trainable,
            max_by(e.place, e.sequence) as place,
            max(e.time) as at
        from events e
        join k on e.run = k.run and e.model = k.model
        where e.kind in ('freeze', 'unfreeze', 'convert')
    ),
    started as (
        select max_by(c.capture, c.sequence) as capture
        from captures c
        join k on c.run = k.run and c.model = k.model
        where c.point = 'start' and c.whole is distinct from false
    ),
    asked as (
        select
            min_by(e.place, e.sequence) filter (e.kind in ('grad', 'train')) as place,
            any_value(e.place) filter (e.kind = 'update') as updated,
            max((e.detail ->> 'leaves')::integer) filter (
                e.kind = 'grad' and e.detail ->> 'wrt' = 'trainable' and e.model = k.model
            ) as leaves
        from events e
        join k on e.run = k.run
    ),
    counted as (
        select
            case
                when started.capture is null and asked.leaves is not null
                then asked.leaves
                when
                    started.capture is null
                    and last.kind in ('freeze', 'unfreeze')
                    and (live.at < last.at) is not false
                then last.trainable
                else
                    (
                        select count(*) filter (p.trainable)
                        from placements p
                        where p.capture = coalesce(started.capture, live.capture) and p.trainable is not null
                        having count(*) > 0
                    )
            end as trainables,
            last.place
        from live, last, started, asked
    ),
    own as (
        select
            coalesce(sum(m.updates), 0) as updates,
            coalesce(sum(m.writes), 0) as writes,
            coalesce(sum(m.gradients), 0) as gradients,
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
    other as (  -- the object that was updated is neither saved nor asked, and a twin of it is
        select
            any_value(x.model) as model,
            any_value(y.model) as kept,
            sum(x.updates) as updates,
            bool_or(y.saves > 0) as saved
        from models x
        join k on x.run = k.run
        join
            models y
            on y.run = x.run
            and y.model <> x.model
            and y.class is not distinct from x.class
            and y.parameters = x.parameters
        where
            x.updates > 0
            and x.saves = 0
            and x.generations = 0
            and y.updates = 0
            and y.writes = 0
            and not exists (
                select 1 from held_against h where h.model = y.model and h.present > 0 and h.before = 0
            )  -- a running average moves without an update
            and (
                y.saves > 0
                or (
                    not exists (select 1 from models z where z.run = x.run and z.saves > 0)
                    and not exists (
                        select 1
                        from events l
                        join events u on u.run = l.run and u.kind = 'update' and u.sequence < l.sequence
                        where
                            l.run = x.run
                            and l.kind = 'load'
                            and l.model = y.model
                            and l.detail ->> 'via' is distinct from 'reload'
                    )  -- what was loaded since is no twin that should have been updated
                    and exists (
                        select 1
                        from events g
                        join events u on u.run = g.run and u.kind = 'update' and u.sequence < g.sequence
                        where g.run = x.run and g.kind = 'generate' and g.model = y.model
                    )
                )
            )
    ),
    fixed as (
        select
            any_value(c.purpose) as purpose,
            any_value(c.place) as place,
            max(c.calls) as calls,
            max(c.traces) as traces,
            bool_or(not c.state_in_inputs) as no_inputs,
            bool_or(not c.state_in_outputs) as no_outputs
        from compiled c
        join k on c.run = k.run
        where
            c.purpose in ('step', 'gradient')
            and (
                (c.calls > c.traces and not c.state_in_inputs)
                or (c.purpose = 'step' and not c.state_in_outputs)
            )
    ),
    steps_ as (
        select
            sum(n) as n,
            sum(measured) as measured,
            max(passed) as passed,
            min(gradient) as gradient,
            min(change) as change,
            min(rate) as rate,
            sum(rates) as rates,
            arg_min(forwards, gradient) as forwards
        from
            (
                select
                    count(*) as n,
                    count(s.gradient_norm) as measured,
                    max(s.gradient_norm) as gradient,
                    max(s.update_norm) as change,
                    max(coalesce(s.passed, abs(s.accumulation))) as passed,
                    max(abs(s.learning_rate)) as rate,
                    count(s.learning_rate) as rates,
                    max(s.forwards) as forwards
                from steps s
                join k on s.run = k.run
                group by s.model
            )
    ),
    dead as (  -- an adapter whose factors or scale give no gradient is a fault of its own
        select coalesce(bool_and(each), false) as dead
        from
            (
                select
                    bool_and(coalesce(p.zeros = p.size, false))
                    or bool_or(coalesce(x.scale = 0, false)) as each
                from parameters p
                join started on p.capture = coalesce(started.capture, capture_of(b))
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
    counted.trainables,
    counted.place as set_place,
    own.updates,
    own.updated,
    own.writes,
    own.gradients,
    moved.n as parameters,
    moved.moved,
    moved.trained,
    other.model as other,
    other.kept,
    other.updates as other_updates,
    other.saved as other_saved,
    fixed.purpose,
    fixed.place as compiled_place,
    fixed.calls,
    fixed.traces,
    fixed.no_inputs,
    fixed.no_outputs,
    steps_.n as steps,
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
    asked.place as grad_place,
    asked.updated as update_place,
    case
        when steps_.change > 0 and moved.moved = 0 and fixed.calls is null then put.place
    end as undone_place,
    case
        when not k.tries
        then null
        when counted.trainables = 0 and own.updated = 0
        then 'nothing-trainable'
        when own.updates = 0 and own.unknown = 0 and own.writes * 2 <= own.gradients and moved.moved = 0
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
from k, counted, own, moved, other, fixed, steps_, dead, ended, put, failed, asked
