-- The answers to the same prompts at two captures, and where they part.
--
-- params:  a, b
-- example: forensics query transcripts-diff night
with
    x as (select * from transcripts where capture = probes_at(a) and source = 'probe'),
    y as (select * from transcripts where capture = probes_at(b) and source = 'probe'),
    d as (
        select
            prompt_id,
            any_value(first_difference) as first_difference,
            any_value(kl) as kl,
            any_value(logits_max_abs) as logits_max_abs
        from probe_deltas
        where capture_a in (capture_of(a), probes_at(a)) and capture_b in (capture_of(b), probes_at(b))
        group by prompt_id
    )
select
    x.prompt_id,
    x.output_digest = y.output_digest as same,
    d.first_difference,
    x.prompt as prompt,
    x.output as output_a,
    y.output as output_b,
    x.finish_reason as finish_a,
    y.finish_reason as finish_b,
    x.output_tokens as tokens_a,
    y.output_tokens as tokens_b,
    x.special_tokens as special_a,
    y.special_tokens as special_b,
    d.logits_max_abs,
    d.kl
from x
join y on x.prompt_id = y.prompt_id and x.prompt_digest is not distinct from y.prompt_digest
left join d on d.prompt_id = x.prompt_id
order by x.prompt_id
