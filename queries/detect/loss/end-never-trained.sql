-- The token that ends an answer is never trained.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, stop-token-missing, score-dropped
-- claim:      The end of an answer is never trained: {observed}.
-- clean:      the end token ({observed})
-- rules out:  answers-truncated, stop-token-missing
-- needs:      loss_tokens, every_row
-- reads:      drawn_steps, taught
-- nothing:    answers in the training rows that could end
-- setting:    max_seq_length, data
-- fix:        {fix_}
-- harmless:   rows that are cut at their length; answers that the program drew itself; texts outside a chat
-- that end with a trained special token, or with the token at which the program stops when it asks
-- fires on:   zoo/end-masked-collator, zoo/end-cut-weights
-- silent on:  zoo/healthy-short-answers, zoo/healthy-command-masked
with
    rows_ as (
        select
            process,
            step,
            forward,
            line,
            count(*) filter (closes) as ends_,
            count(*) filter (closes and weight <> 0) as trained,
            count(*) filter (role = 'answer' and weight <> 0) as answers,
            count(*) filter (weight <> 0 and relation = 'other') as labels_,
            count(*) filter (weight <> 0) as taught_,
            count(*) filter (role = 'pad' and not beyond and weight <> 0) as marks,
            bool_or(framed) as framed,
            any_value(at_cap) as at_cap,
            any_value(ends_with_end) as ended
        from taught
        where not exists (from drawn_steps d where d.process = taught.process and d.step = taught.step)
        group by process, step, forward, line
    ),
    sums as (
        select
            count(*) as n,
            sum(ends_) as ends_,
            sum(trained) as trained,
            count(*) filter (ends_ = 0 and not at_cap and not ended) as open,
            count(*) filter (ended or ends_ > 0) as closed,
            coalesce(bool_or(framed), false) as chat,
            coalesce(mostly(sum(labels_), sum(taught_)), false) as labelled,  -- what was read, which ends nothing
            count(*) filter (marks > 0) as marked
        from rows_
        where answers > 0 and ended is not null
    ),
    stops as (  -- what the program itself stops at, not what was cut at its longest
        select coalesce(bool_and(ends_as_rows), false) as alike
        from generations
        where run = run_of(b) and finish_reason is distinct from 'length'
    )
select
    'the answers of ' || n || ' rows' as subject,
    case
        when ends_ > 0
        then
            if(trained = 0, 'none', trained::varchar)
            || ' of '
            || counted(ends_, 'answer end')
            || if(trained = 0, ' counts in the loss', ' count in the loss')
        else 'none of ' || n || ' rows has an end token'
    end as observed,
    'the end token after an answer counts in the loss' as expected,
    trained = 0 and (ends_ > 0 or open > 0) and (chat or not (marked = n or stops.alike)) as fault,
    if(ends_ > 0, loss_place(b), rows_place(b)) as place,
    case
        when ends_ > 0
        then 'mask padding by length, not by id, and let the mask run to the end token of the answer'
        else
            'end each training row with tokenizer.eos_token_id (apply_chat_template writes the end of a turn)'
    end as fix_
from sums, stops
where n > 0 and (ends_ > 0 or open > 0) and not labelled
order by subject
