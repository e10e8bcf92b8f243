-- The answers of a run's captures and generations, in order.
--
-- params:  a
-- example: forensics query answers night
SELECT c.point, c.model, t.prompt_id, t.source, t.prompt, t.output, t.finish_reason, t.output_tokens, t.special_tokens, t.loop_share
FROM transcripts t JOIN captures c ON c.capture = t.capture
WHERE c.run = run_of(a)
ORDER BY c.sequence, t.prompt_id
