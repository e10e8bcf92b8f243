-- Which answers to probes got worse, by what can be told without reading them.
--
-- params:  a, b, special = 0.5
-- example: forensics query answers-worse night
with
    x as (
        select *
        from transcripts
        where capture = probes_at(a) and source = 'probe' and finish_reason is distinct from 'error'
    ),
    y as (
        select *
        from transcripts
        where capture = probes_at(b) and source = 'probe' and finish_reason is distinct from 'error'
    ),
    both_ as (
        select
            y.prompt_id,
            x.finish_reason = 'stop' and y.finish_reason = 'length' as endless,
            coalesce(x.special_tokens, 0) <= special * x.output_tokens
            and y.special_tokens > special * y.output_tokens as spam,
            x.output_tokens > 0 and y.output_tokens = 0 as empty
        from x
        join y using (prompt_id)
    )
select
    prompt_id,
    endless or spam or empty as worse,
    case
        when spam
        then 'special tokens'
        when empty
        then 'nothing is said'
        when endless
        then 'it no longer ends'
    end as how
from both_
order by prompt_id
