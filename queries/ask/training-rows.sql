-- The first training rows as the model saw them: their text where it was recorded, length, padding, end, and
-- how they stand to the chat template.
--
-- params:  a, last_step = 2
-- example: forensics query training-rows night
with
    texts as (
        select
            process,
            model,
            step,
            forward,
            row,
            string_agg(coalesce(next_token, token), '' order by position) as text
        from loss_tokens
        where run = run_of(a) and step <= last_step
        group by process, model, step, forward, row
    )
select
    b.model,
    b.step,
    b.forward,
    b.row,
    t.text,
    b.width,
    b.tokens,
    b.prompt_tokens,
    b.answer_tokens,
    b.end_tokens,
    b.pad_tokens,
    b.first_pad,
    b.ends_with_end,
    b.at_cap,
    b.bos_count,
    b.frame,
    b.out_of_range
from batch_rows b
left join
    texts t
    on t.process = b.process
    and t.model = b.model
    and t.step = b.step
    and t.forward = b.forward
    and t.row = b.row
where b.run = run_of(a) and b.step <= last_step
order by b.process, b.model, b.step, b.forward, b.row
