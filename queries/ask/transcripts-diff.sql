-- The answers to the same prompts at two captures, and where they part.
--
-- params:  a, b
-- example: forensics query transcripts-diff night
WITH x AS (SELECT * FROM transcripts WHERE capture = probes_at(a) AND source = 'probe'),
y AS (SELECT * FROM transcripts WHERE capture = probes_at(b) AND source = 'probe'),
d AS (
    SELECT prompt_id, any_value(first_difference) AS first_difference, any_value(kl) AS kl, any_value(logits_max_abs) AS logits_max_abs
    FROM probe_deltas
    WHERE capture_a IN (capture_of(a), probes_at(a)) AND capture_b IN (capture_of(b), probes_at(b)) GROUP BY prompt_id
)
SELECT x.prompt_id, x.output_digest = y.output_digest AS same, d.first_difference, x.prompt AS prompt,
    x.output AS output_a, y.output AS output_b, x.finish_reason AS finish_a, y.finish_reason AS finish_b,
    x.output_tokens AS tokens_a, y.output_tokens AS tokens_b, x.special_tokens AS special_a, y.special_tokens AS special_b,
    d.logits_max_abs, d.kl
FROM x JOIN y ON x.prompt_id = y.prompt_id AND x.prompt_digest IS NOT DISTINCT FROM y.prompt_digest
LEFT JOIN d ON d.prompt_id = x.prompt_id
ORDER BY x.prompt_id
