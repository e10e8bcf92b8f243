-- Advantages are measured over rows of different prompts.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, score-dropped, output-unchanged
-- claim:      Advantages are measured over rows of different prompts: {observed}.
-- clean:      rows over which advantages are measured ({observed})
-- needs:      steps
-- nothing:    a loss that is handed advantages of groups, and what tells their prompts apart
-- params:     a, b, least = 2
-- numbers:    least - steps that show it: in one, rows may stand so by chance
-- fix:        lay the rows of one prompt side by side (repeat each prompt, mx.repeat or np.repeat, in place
-- of tiling the list of prompts), or group the rewards by prompt before their mean is taken away
-- harmless:   a mean over the whole batch
-- fires on:   zoo/answers-tiled
-- silent on:  zoo/healthy-answers-grouped
select
    'groups of ' || any_value(group_rows) || ' rows' as subject,
    case
        when sum(mixed_groups) = 0
        then
            printf('the advantages of %d groups sum to 0, and each holds the rows of one prompt', sum(groups))
        else
            printf(
                'the advantages of each %d rows side by side sum to 0, and of %d such groups in %d steps %d '
                || 'hold rows of several prompts, though each prompt has %d rows',
                any_value(group_rows),
                sum(groups),
                count(*),
                sum(mixed_groups),
                any_value(group_rows)
            )
    end as observed,
    'each group is of one prompt' as expected,
    bool_and(mixed_groups > 0) and count(*) >= least as fault,
    gradient_place(b) as place,
    round(sum(mixed_groups) / sum(groups), 4) as share
from steps
where run = run_of(b) and model = model_of(b) and group_rows is not null
having count(*) > 0
order by subject
