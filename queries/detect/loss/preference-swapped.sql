-- The rejected answers are preferred.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   score-dropped, loss-not-decreasing
-- claim:      The loss pulls up the rejected answer and pushes down the chosen one: {observed}.
-- clean:      the sides of the preference loss ({observed})
-- rules out:  reference-is-policy, loss-sign-flipped
-- needs:      run
-- nothing:    a data file of chosen and rejected answers whose texts stand in the training rows
-- fix:        hand chosen and rejected to the loss in the order in which it takes them: follow them from
-- the file through the collator to the margin
-- harmless:   some records that a label says are to be taken the other way round; a reward head, whose loss
-- is
-- no likelihood
-- fires on:   zoo/sides-changed
-- silent on:  zoo/healthy-columns
select
    'the data file' || coalesce(' ' || file, '') as subject,
    case when reversed > preferred then reversed else preferred end
    || ' of '
    || (reversed + preferred)
    || ' records have the '
    || case when reversed > preferred then 'rejected' else 'chosen' end
    || ' answer pulled up' as observed,
    'the chosen answer pulled up, the rejected one pushed down' as expected,
    reversed > preferred as fault,
    gradient_place(b) as place
from datasets
where
    run = run_of(b)
    and preferred + reversed > 0
    -- of what is no likelihood, as the points of a reward head, no side can be read
    and (select coalesce(is_cross_entropy(median(residual)), true) from steps where run = run_of(b))
order by fault desc, subject
