-- The first training rows as the model saw them: length, padding, end, and how they stand to the chat
-- template.
--
-- params:  a, last_step = 2
-- example: forensics query training-rows night
select
    model,
    step,
    forward,
    row,
    width,
    tokens,
    prompt_tokens,
    answer_tokens,
    end_tokens,
    pad_tokens,
    first_pad,
    ends_with_end,
    at_cap,
    bos_count,
    frame,
    out_of_range
from batch_rows
where run = run_of(a) and step <= last_step
order by process, model, step, forward, row
