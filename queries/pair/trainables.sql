-- How many tensors of b's model were trainable when training was tried, and the lines that set, asked and
-- updated. freeze and unfreeze say what they left; a capture after them knows better. `trainables` is NULL
-- where nothing says so.
--
-- params: b
with
    k as materialized(
        select
            run_of(b) as run,
            model_of(b) as model,
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
    last as (
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
    )
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
    last.place as set_place,
    asked.place as grad_place,
    asked.updated as update_place,
    started.capture as started
from live, last, started, asked
