-- Weights were replaced to measure the model, and training went on from the replacements.
--
-- severity:   warning
-- role:       cause
-- confidence: probable
-- explains:   loss-not-decreasing, score-dropped, generation-collapse
-- claim:      Training went on from other weights than its updates left: {observed}.
-- clean:      what updates begin from ({observed})
-- needs:      steps
-- nothing:    updates after the first
-- params:     a, b, first_ = 1
-- numbers:    first_ - update, before which nothing was trained
-- fix:        put the weights that the updates left back once the others are measured (of an average:
-- swap it out again); where training is meant to go on from the replacements, allow this finding
-- harmless:   weights that are put back, and replacements whose predecessors are dropped, as a merge of an
-- adapter, a clipping of weights or a return to the best state has it
-- fires on:   zoo/average-swapped-in
-- silent on:  zoo/healthy-average-swapped, zoo/healthy-average
with
    sums as (
        select
            count(*) as n,
            count(*) filter (replaced = 'held') as held,
            count(*) filter (replaced = 'held' and outside_forwards > 0) as measured,
            count(*) filter (replaced = 'dropped') as dropped,
            min(step) filter (replaced = 'held') as at_
        from steps
        where run = run_of(b) and model = model_of(b) and step > first_
    )
select
    'what updates begin from' as subject,
    case
        when measured > 0
        then
            printf(
                'before %d of %d updates, first before update %d, the weights that the update before had left '
                || 'were replaced, the model was asked with the others, and the program, which held what had '
                || 'stood there, did not put it back',
                held,
                n,
                at_
            )
        when held + dropped > 0
        then printf('%d of %d updates began from weights that were replaced on purpose', held + dropped, n)
        else printf('%d updates began from what the update before had left', n)
    end as observed,
    'what the update before left' as expected,
    measured > 0 and measured = held as fault,
    (
        select min_by(place, sequence)
        from events
        where run = run_of(b) and model = model_of(b) and kind = 'write' and detail ->> 'replaced' = 'held'
    ) as place,
    at_ as step
from sums
where n > 0
order by subject
