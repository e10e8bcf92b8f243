-- Which answers to probes got worse, by what can be told without reading them.
--
-- params:  a, b, special = 0.5
-- example: forensics query answers-worse night
WITH x AS (SELECT * FROM transcripts WHERE capture = probes_at(a) AND source = 'probe' AND finish_reason IS DISTINCT FROM 'error'),
y AS (SELECT * FROM transcripts WHERE capture = probes_at(b) AND source = 'probe' AND finish_reason IS DISTINCT FROM 'error'),
both_ AS (
    SELECT y.prompt_id, x.finish_reason = 'stop' AND y.finish_reason = 'length' AS endless,
        coalesce(x.special_tokens, 0) <= special * x.output_tokens AND y.special_tokens > special * y.output_tokens AS spam,
        x.output_tokens > 0 AND y.output_tokens = 0 AS empty
    FROM x JOIN y USING (prompt_id)
)
SELECT prompt_id, endless OR spam OR empty AS worse,
    CASE WHEN spam THEN 'special tokens' WHEN empty THEN 'nothing is said' WHEN endless THEN 'it no longer ends' END AS how
FROM both_
ORDER BY prompt_id
