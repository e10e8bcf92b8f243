-- Tensors of b's model beside those of the same model on other ranks: the n-th model that was updated in the
-- process of each rank, of one launch and after as many updates. A command may launch again: the n-th process
-- of a rank belongs to the n-th launch.
--
-- params: b
with
    processes as (
        select process, any_value(rank) as rank, any_value(ranks) as ranks
        from models
        where run = run_of(b) and rank is not null
        group by process
    ),
    launched as (select *, row_number() over (partition by rank order by process) as launch from processes),
    trained as (
        select
            m.model,
            l.rank,
            l.ranks,
            l.launch,
            row_number() over (partition by m.process order by try_cast(substr(m.model, 2) as integer)) as nth
        from models m
        join launched l using (process)
        where m.run = run_of(b) and m.updates > 0
    ),
    ends as (
        select
            t.model,
            t.rank,
            t.ranks,
            t.launch,
            t.nth,
            arg_max(c.capture, c.sequence) filter (c.point = 'start') as began,
            arg_max(c.capture, c.sequence) filter (c.point = 'end') as ended,
            arg_max(c.updates, c.sequence) filter (c.point = 'end') as updates
        from trained t
        join captures c on c.run = run_of(b) and c.model = t.model and c.whole is distinct from false
        group by all
    ),
    held as (
        select
            e.model,
            p.canonical,
            bool_or(p.trainable) as trainable,
            any_value(p.digest) filter (p.capture = e.began) as before,
            any_value(p.digest) filter (p.capture = e.ended) as after
        from ends e
        join placements p on p.capture in (e.began, e.ended)
        where p.role is distinct from 'optimizer'
        group by all
    )
select
    x.rank as first_rank,
    y.rank,
    x.updates,
    g.trainable,
    h.before = g.before as equal_before,
    h.after = g.after as equal_after
from ends x
join
    ends y
    on x.model = model_of(b)
    and y.rank <> x.rank
    and y.launch = x.launch
    and y.nth = x.nth
    and y.ranks = x.ranks
    and y.updates = x.updates
join held h on h.model = x.model
join held g on g.model = y.model and g.canonical = h.canonical and g.trainable = h.trainable
