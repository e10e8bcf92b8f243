-- Rows are cut before their answer ends.
--
-- role:       cause
-- severity:   error
-- confidence: strong
-- explains:   generation-collapse, end-never-trained when ends_below,
-- stop-token-missing, records-dropped, score-dropped
-- claim:      {observed} are cut at {cap} tokens before their answer ends.
-- clean:      the length of rows ({observed} are cut before their answer ends)
-- rules out:  end-never-trained
-- needs:      run, every_row
-- long:       one SELECT over the rows, whose counts are needed together to tell a cut row from a stream
-- of text
-- reads:      sampled, taught
-- nothing:    a length that training rows are cut to, passed by the program or seen where a record goes on
-- params:     a, b, many = 0.5, some_ = 0.05, several = 3
-- numbers:    many - of the rows cut is what the model mostly sees, an error, fewer are a warning; some_ -
-- of the rows, fewer are a few long records, which are customary; several - rows of one length
-- in which a stream of text shows
-- setting:    max_seq_length
-- fix:        raise the length that rows are cut to (max_seq_length) above {cap} tokens, or leave such
-- rows out
-- harmless:   a stream of texts that is cut into pieces of one length; answers that the program drew itself,
-- of so many tokens, to reward them
-- fires on:   zoo/cap-collator, zoo/cap-command
-- silent on:  zoo/healthy-command-masked
with
    rows_ as (
        select
            row_digest,
            any_value(r.tokens) as tokens,
            any_value(r.at_cap) as at_cap,
            any_value(r.ends_with_end) as ended,
            any_value(ends_) as ends_,
            bool_or(taught_) as taught_,
            any_value(r.frame) in ('template', 'partial') as chat,
            bool_or(r.head_digest is not null) as headed
        from batch_rows r
        left join
            (
                select
                    process,
                    step,
                    forward,
                    line,
                    count(*) filter (closes) as ends_,
                    coalesce(bool_or(weight <> 0), false) as taught_
                from taught
                group by process, step, forward, line
            ) t
            on t.process = r.process
            and t.step = r.step
            and t.forward = r.forward
            and t.line = r."row"
        where
            r.run = run_of(b)
            and r.model = model_of(b)
            and r.ends_with_end is not null
            and not exists (from sampled x where x.process = r.process)
        group by row_digest
    ),
    seen as (  -- a length that the program passed, and records that were seen to go on where their row ends
        select
            (
                select min((detail -> 'declared' ->> 'max_seq_length')::integer)
                from events
                where run = run_of(b) and kind = 'train'
            ) as declared,
            (select sum(cut) from datasets where run = run_of(b) and cut > 0) as records,
            (select min(cap) from datasets where run = run_of(b) and cut > 0) as cap
    ),
    sums as (
        select
            count(*) as n,
            count(*) filter (
                at_cap
                and not ended
                and coalesce(ends_, 0) = 0
                and tokens >= coalesce(seen.cap, seen.declared - 1)
            ) as cut,
            any_value(coalesce(seen.declared, seen.cap + 1)) as cap,
            any_value(seen.records) as records,
            count(*) filter (ended) as whole,
            bool_or(chat) as chat,
            count(*) filter (not at_cap and (ended or ends_ > 0)) as below,
            -- of one length but for the last, and none begins as another
            count(*) >= several and not bool_or(headed) and count(*) filter (not at_cap) <= 1 as pieces
        from rows_, seen
        where taught_  -- else the token after the row is not known
    )
select
    'training rows' as subject,
    cut
    || ' of '
    || n
    || ' distinct rows'
    || coalesce(' (' || counted(records, 'record') || ' of the data file go on there)', '') as observed,
    'rows that hold the end of their answer' as expected,
    cut > 1 and cut >= some_ * n as fault,
    cap,
    rows_place(b) as place,
    below > 0 or cut = n as ends_below,
    case when cut >= many * n then 'error' else 'warning' end as severity
from sums
-- text that is cut into pieces has no answers to cut
where n > 0 and not pieces and (chat or whole > 0) and cap is not null
order by subject
