-- Base tensors beside an adapter that moved and may well be meant to: unfrozen by the program outside the
-- adapted layers, merged into while their adapter began anew, statistics that a layer keeps of its batches,
-- and weights that stand as before in a later capture of the live model; what rounding left, which is told
-- apart; at rest, what the adapter's own file holds beside its factors (modules_to_save, norms, biases).
--
-- params: a, b
-- long:   one SELECT a reason, each with its facts
-- reads:  moves, spans, drifted
with
    unfrozen as (
        select e.model from events e where e.run = run_of(b) and e.kind = 'unfreeze' group by e.model
    ),
    empty as (  -- adapters that hold nothing at the end, though they were trained
        select s.model, x.canonical || '.weight' as canonical
        from parameters p
        join spans s on p.capture = s.y
        join modules x on x.capture = p.capture and x.module = p.module
        where p.role = 'lora_b' and p.zeros = p.size
    ),
    fused_over as (  -- adapters are fused, and new ones trained: what changed did so while nothing was updated
        select model, canonical
        from
            (
                select
                    c.model,
                    p.canonical,
                    p.digest is distinct from lag(p.digest, 1, p.digest) over following as moved,
                    c.updates = lag(c.updates) over following as still
                from placements p
                join captures c on c.capture = p.capture
                where
                    c.run = run_of(b)
                    and c.source = 'live'
                    and p.role <> 'optimizer'
                    and exists (
                        from events f
                        join events u on u.run = f.run and u.model = f.model and u.sequence > f.sequence
                        where f.run = c.run and f.model = c.model and f.kind = 'fuse' and u.kind = 'update'
                    )
                window following as (partition by c.model, p.canonical order by c.sequence)
            )
        group by model, canonical
        having bool_or(moved) and bool_and(still or not moved)
    ),
    statistics as (
        -- one number a channel, never in the trainable set: its module keeps it out while others of its own
        -- are in it, or has nothing else to train. It is written in the forward.
        select c.model, p.canonical
        from placements p
        join captures c on c.capture = p.capture
        join tensors t on t.digest = p.digest
        left join
            (select distinct q.capture, q.module from placements q where q.trainable) free
            on free.capture = p.capture
            and free.module = p.module
        where c.run = run_of(b) and c.source = 'live' and json_array_length(t.shape) = 1
        group by c.model, p.canonical
        having
            not bool_or(coalesce(p.trainable, false))
            and (bool_or(free.module is not null) or any_value(p.leaf) not in ('weight', 'bias'))
    )
select m.model, m.canonical, 'unfrozen' as why
from moves m
join unfrozen u on u.model is not distinct from m.model
where m.changed and m.trainable and m.role in ('embedding', 'head', 'norm', 'bias')
union all
select m.model, m.canonical, 'merged'
from moves m
join empty e on e.model is not distinct from m.model and e.canonical = m.canonical
where m.changed and not m.trainable
union all
select m.model, m.canonical, 'statistics'
from moves m
join statistics t on t.model is not distinct from m.model and t.canonical = m.canonical
where m.changed
union all
select d.model, d.canonical, 'rounding'
from drifted d
union all
select m.model, m.canonical, 'fused on the way'
from moves m
join fused_over f on f.model is not distinct from m.model and f.canonical = m.canonical
where m.changed and not m.trainable
union all
select m.model, m.canonical, 'put back'
from moves m
where
    m.changed
    and m.model is not null
    and exists (
        from placements p
        join captures c on c.capture = p.capture
        where
            c.run = run_of(b)
            and c.model = m.model
            and c.sequence > sequence_of(b)
            and c.point not in ('saved', 'reloaded')  -- files on their base
            and p.canonical = m.canonical
            and p.digest = m.digest_a
    )
union all
select m.model, m.canonical, 'of the adapter''s file'
from moves m
where
    not watched(b)
    and exists (
        from events e
        where
            e.run = run_of(b)
            and e.kind = 'load'
            and list_contains(from_json(e.detail -> 'beside', '["VARCHAR"]'), m.canonical)
    )
