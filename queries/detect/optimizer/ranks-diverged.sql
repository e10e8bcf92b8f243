-- The ranks of a distributed run train different models.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, output-unchanged, score-dropped
-- claim:      {observed}, though all ranks train one model.
-- clean:      the ranks ({observed})
-- needs:      end
-- nothing:    a program of several ranks that began with one model
-- fix:        {fix_}
-- harmless:   ranks that are meant to go on alone for some updates and are averaged later; the runs of a
-- search that share nothing but their launcher
-- fires on:   zoo/ranks-apart, zoo/ranks-seeded
-- silent on:  zoo/healthy-ranks
with
    processes as (
        select process, any_value(rank) as rank, any_value(ranks) as ranks
        from models
        where run = run_of(b) and rank is not null
        group by process
    ),
    launched as (
        -- a command may launch again: the n-th process of a rank belongs to the n-th launch
        select *, row_number() over (partition by rank order by process) as launch from processes
    ),
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
    ),
    sides as (
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
    ),
    counted as (
        select
            first_rank,
            rank,
            updates,
            count(*) filter (trainable) as trained,
            count(*) filter (not trainable) as frozen,
            count(*) filter (not trainable and not equal_before) as split,
            count(*) filter (trainable and not equal_before) as apart,
            count(*) filter (trainable and equal_before and not equal_after) as parted
        from sides
        group by all
    ),
    judged as (
        -- of a model that is split over its ranks each holds other weights from the start: frozen ones too,
        -- or, where nothing is frozen, trained ones
        select *, apart > 0 as seeded
        from counted
        where trained > 0 and split = 0 and (frozen > 0 or apart = 0)
    )
select
    'rank ' || rank as subject,
    case
        when seeded
        then
            printf(
                'rank %d began with other weights than rank %d (%d of %d trained tensors)',
                rank,
                first_rank,
                apart,
                trained
            )
        when parted > 0
        then
            printf(
                '%d of %d trained tensors of rank %d differ from those of rank %d after %d updates',
                parted,
                trained,
                rank,
                first_rank,
                updates
            )
        else printf('rank %d holds the weights of rank %d after %d updates', rank, first_rank, updates)
    end as observed,
    'the same weights on every rank' as expected,
    seeded or parted > 0 as fault,
    (
        select any_value(e.place)
        from events e
        where e.run = run_of(b) and e.kind = 'update' and e.model = model_of(b)
    ) as place,
    case
        when seeded
        then
            'give every rank the same seed before adapters are made, or hand the first rank''s weights '
            || 'to the others'
        else 'average the gradients over the ranks before every update: grads = nn.average_gradients(grads)'
    end as fix_
from judged
order by fault desc, rank
