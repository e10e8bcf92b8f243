-- The answers of a run's captures and generations, in order.
--
-- params:  a
-- example: forensics query answers night
select
    c.point,
    c.model,
    t.prompt_id,
    t.source,
    t.prompt,
    t.output,
    t.finish_reason,
    t.output_tokens,
    t.special_tokens,
    t.loop_share
from transcripts t
join captures c on c.capture = t.capture
where c.run = run_of(a)
order by c.sequence, t.prompt_id
