-- Part of each answer carries no weight.
--
-- severity:   warning
-- role:       cause
-- confidence: probable
-- explains:   generation-collapse, score-dropped
-- claim:      {n} of {looked} rows train only a part of their answer: {observed}.
-- clean:      the whole of each answer ({looked:row|rows} looked at)
-- rules out:  answers-truncated
-- needs:      loss_tokens, every_row
-- reads:      alignment, taught
-- nothing:    answers of one turn in the training rows
-- params:     a, b, share = 0.2, often = 0.5, short = 4
-- numbers:    share - of an answer without weight, single tokens here and there are no part; often - in
-- half of the rows, so that it is how the mask is made and not one row's text; short - answers
-- of so few tokens have no parts
-- fix:        let the mask run from the first to the last token of the answer; where the rest is left out on
-- purpose, allow this finding
-- harmless:   a first part that is masked, as reasoning before an answer or what all answers open with;
-- single tokens here and there; rows
-- without any weight; of several turns only the last; the next text of a packed row, after an end
-- fires on:   zoo/part-collator
-- silent on:  zoo/healthy-short-answers, zoo/healthy-command-masked
with
    bounded as (
        select
            *,
            coalesce(weight, mass) <> 0 as carries,
            coalesce(min(position) filter (closes) over line_, max(position) over line_) as last_
        from taught
        window line_ as (partition by process, step, forward, line)
    ),
    told as (  -- what the template writes after the end of an answer is none of it
        select *, lag(carries) over (partition by process, step, forward, line order by position) as before
        from bounded
        where (role = 'answer' or closes) and position <= last_
    ),
    turns as (
        select process, step, forward, line, count(*) filter (role = 'prompt' and answered) as again
        from
            (
                select
                    *,
                    bool_or(role = 'answer') over (
                        partition by process, step, forward, line order by position
                    ) as answered
                from taught
            )
        group by process, step, forward, line
    ),
    rows_ as (
        select
            process,
            step,
            forward,
            line,
            count(*) as n,
            count(*) filter (carries) as taught_,
            count(*) filter (not carries and before) as gaps,
            min(position) filter (not carries) > min(position) filter (carries) as led
        from told
        group by process, step, forward, line
    ),
    judged as (
        select *, led and gaps = 1 and n - taught_ > 1 and n - taught_ >= share * n as part
        from rows_
        join turns using (process, step, forward, line)
        where again = 0 and taught_ > 1 and n > short
    ),
    all_ as (select count(*) filter (part) >= often * count(*) as many from judged),
    opening as (
        -- as many first tokens in each row, of other texts and before answers of other lengths: no part of
        -- the text, as reasoning is, and not what each answer opens with
        select
            count(distinct opening_tokens) = 1
            and any_value(opening_tokens) > 1
            and count(distinct opening_digest) > 1
            and count(distinct answer_tokens) > 1 as cut
        from batch_rows
        where run = run_of(b) and model = model_of(b) and opening_tokens is not null
    )
select
    'step ' || j.step || ' row ' || j.line as subject,
    j.taught_ || ' of ' || j.n || ' answer tokens carry weight' as observed,
    'all of them' as expected,
    j.part and all_.many or opening.cut and j.taught_ < j.n as fault,
    loss_place(b) as place
from judged j, all_, opening, alignment
where alignment.aligned
order by fault desc, j.step, j.line
