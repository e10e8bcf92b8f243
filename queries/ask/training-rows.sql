-- The first training rows as the model saw them: length, padding, end, and how they stand to the chat template.
--
-- params:  a, last_step = 2
-- example: forensics query training-rows night
SELECT model, step, forward, row, width, tokens, prompt_tokens, answer_tokens, end_tokens, pad_tokens, first_pad, ends_with_end, at_cap,
    bos_count, frame, out_of_range
FROM batch_rows
WHERE run = run_of(a) AND step <= last_step
ORDER BY process, model, step, forward, row
