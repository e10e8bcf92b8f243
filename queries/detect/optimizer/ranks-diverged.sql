-- The ranks of a distributed run train different models.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, output-unchanged, score-dropped
-- claim:      The ranks train different models: {observed}.
-- clean:      the ranks ({observed})
-- needs:      end
-- reads:      rank_twins
-- nothing:    a program of several ranks that began with one model
-- fix:        {fix_}
-- harmless:   ranks that are meant to go on alone for some updates and are averaged later; the runs of a
-- search that share nothing but their launcher
-- fires on:   zoo/ranks-apart, zoo/ranks-seeded
-- silent on:  zoo/healthy-ranks
with
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
        from rank_twins
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
