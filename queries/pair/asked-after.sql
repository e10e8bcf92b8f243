-- Generations after training began, each with the state that it used. `used`: trained | saved (as in a
-- file that the program wrote) | start | part |
-- other base | base alone.
--
-- params: a, b
-- long:   one row for each generation, classed by what it used, in the order in which one class hides
-- the next
-- reads:  held_against, learned_values
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    began_ as (
        select min(e.sequence) as first
        from events e
        join k on e.run = k.run and e.model = k.model
        where e.kind in ('update', 'write')
    ),
    main as (
        select any_value(m.updates) as updates from models m join k on m.run = k.run and m.model = k.model
    ),
    written as (
        select distinct capture
        from
            (
                select h.capture
                from held_against h
                join placements p on p.capture = h.capture
                join learned_values l on l.canonical = p.canonical
                join saved_tensors s on s.canonical = p.canonical and s.digest = p.digest
                join k on s.run = k.run
                where h.before < h.present
                group by h.capture, h.present, s.process, s.save
                having count(*) = h.present
            )
    ),
    again as (  -- tensors of our base in another form, unpacked, with equal values
        select q.capture, count(distinct q.canonical) as n
        from generations g
        join k on g.run = k.run
        join placements q on q.capture = g.capture
        join placements p on p.capture = capture_of(b) and p.canonical = q.canonical and p.digest <> q.digest
        join
            deltas d
            on d.digest_a = coalesce(p.value_digest, p.digest)
            and d.digest_b = coalesce(q.value_digest, q.digest)
            and d.max_abs = 0
        group by q.capture
    )
select
    g.*,
    m.saves as saves_of,
    m.copied_from,
    h.moved,
    h.present,
    h.after,
    h.before,
    h.base_moved,
    e.place as asked_at,
    e.sequence as asked,
    case
        when h.moved > 0 and h.present = h.moved and h.after = h.moved
        then 'trained'
        when w.capture is not null
        then 'saved'
        when h.present = 0 and h.base_moved > coalesce(o.n, 0)
        then 'other base'
        when h.present = 0
        then 'base alone'
        when h.before = h.present
        then 'start'
        else 'part'
    end as used
from generations g
join k on g.run = k.run
cross join began_
cross join main
join
    events e
    on e.run = g.run
    and e.kind = 'generate'
    and (e.detail ->> 'generation')::integer = g.generation
    and e.process = g.process
left join models m on m.run = g.run and m.model = g.model
left join held_against h on h.capture = g.capture
left join written w on w.capture = g.capture
left join again o on o.capture = g.capture
where e.sequence > began_.first and (g.model <> k.model or g.updates = main.updates)
