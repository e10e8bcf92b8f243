-- The rows of a record grow from epoch to epoch by the same block.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   all-tokens-masked, answers-truncated, end-never-trained, template-mismatch, double-bos,
-- loss-not-decreasing, score-dropped, output-unchanged, generation-collapse, records-dropped
-- claim:      Rows grow by a block at their head: {observed}.
-- clean:      the block that opens each row ({observed})
-- rules out:  template-mismatch
-- needs:      every_row
-- nothing:    rows of several kept steps
-- setting:    data
-- params:     a, b, once = 1, often = 3
-- numbers:    once - what a block that is no longer alone stands more often than; often - times in a row, a
-- block that is doubled may be one text twice
-- fix:        build each row from a copy of its record: insert, append or += on a list that the data set
-- keeps changes the record itself, and the next epoch adds to that
-- harmless:   rows whose opening is repeated from the first step on
-- fires on:   zoo/persona-in-place
-- silent on:  zoo/healthy-persona
with
    steps_ as (
        select process, step, min(openings) as least, max(openings) as most
        from batch_rows
        where run = run_of(b) and model = model_of(b) and openings is not null
        group by process, step
    ),
    followed as (
        select *, lag(most, 1, once) over (partition by process order by step) as before from steps_
    ),
    sums as (
        select
            count(*) as n,
            min_by(most, step) as first_,
            max_by(least, step) as last_,
            max(step) as at_,
            bool_and(least >= before) as rising,
            count(*) filter (least > before) as rises
        from followed
    )
select
    'the block that opens rows' as subject,
    case
        when rising and last_ >= often and rises > once
        then
            printf(
                'in all rows of step 1 it stands %s, in all rows of step %d %d times back to back, and never '
                || 'less often than in the step before',
                case when first_ = once then 'once' else first_ || ' times' end,
                at_,
                last_
            )
        else printf('it is not repeated more and more often in %d steps', n)
    end as observed,
    'as often as in the first epoch' as expected,
    coalesce(rising and first_ < last_ and last_ >= often and rises > once, false) as fault,
    rows_place(b) as place
from sums
where n > once
order by subject
