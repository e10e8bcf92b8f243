-- What is wrong with what came out, counted, the worst first: what `forensics prove` looks at to see whether a cure took the harm away.
--
-- params:  a, b, special = 0.5
-- example: forensics query harm night
WITH k AS MATERIALIZED (
    SELECT run_of(b) AS run, model_of(b) AS model, probes_at(a) AS asked_before, probes_at(b) AS asked, capture_of(b) AS trained,
        at_point(b, 'start') AS begun, at_point(b, 'reloaded') AS reloaded
),
updated AS (SELECT min(e.sequence) AS first FROM events e JOIN k USING (run) WHERE e.kind IN ('update', 'write', 'grad')),
own AS (  -- the program's own generations after training began
    SELECT g.*, e.sequence FROM generations g JOIN k USING (run) CROSS JOIN updated
    JOIN events e ON e.run = g.run AND e.kind = 'generate' AND e.process = g.process AND (e.detail->>'generation')::INTEGER = g.generation
    WHERE e.sequence > updated.first
), answers AS (
    SELECT t.* FROM transcripts t JOIN k ON t.capture = k.asked WHERE t.source = 'probe'
    UNION ALL
    SELECT t.* FROM transcripts t JOIN own ON t.capture = own.capture AND t.prompt_id = 'g' || own.generation WHERE t.source = 'observed'
), harms AS (
    SELECT 1 AS rank, 'special tokens in answers' AS what, 'tokens' AS unit,
        sum(special_tokens) FILTER (special_tokens > special * output_tokens) AS amount, sum(output_tokens) AS among FROM answers
    UNION ALL
    SELECT 2, 'tokens that repeat what stands before them', 'tokens',
        sum(round(loop_share * output_tokens)) FILTER (loop_share > special AND finish_reason IS DISTINCT FROM 'stop'
            AND coalesce(special_tokens, 0) <= special * output_tokens), sum(output_tokens) FROM answers
    UNION ALL
    SELECT 3, 'answers that went on after their end', 'answers', count(*) FILTER (end_position IS NOT NULL), count(*) FROM own
    UNION ALL
    SELECT 4, 'answers of a model that answers otherwise when asked again', 'answers', count(*) FILTER (repeat_difference > 0), count(*) FROM own
    UNION ALL
    SELECT 5, 'tensors that are not finite', 'tensors', count(*) FILTER (t.nans > 0 OR t.infs > 0), count(*)
    FROM placements p JOIN k ON p.capture = k.trained JOIN tensors t USING (digest) WHERE p.role <> 'optimizer'
    UNION ALL
    SELECT 6, 'probes answered otherwise after loading what was saved', 'answers', count(*) FILTER (x.output_digest <> y.output_digest), count(*)
    FROM k JOIN transcripts x ON x.capture = k.asked JOIN transcripts y ON y.capture = k.reloaded AND y.prompt_id = x.prompt_id
    WHERE x.source = 'probe' AND y.source = 'probe'
    UNION ALL
    SELECT 7, 'answers of a model that was not the trained one', 'answers', count(*) FILTER (other.n > 0), count(*)
    FROM own LEFT JOIN (
        SELECT g.capture, count(*) AS n FROM (SELECT DISTINCT capture FROM own) g JOIN k ON true
        JOIN placements e ON e.capture = k.trained JOIN placements s ON s.capture = k.begun AND s.canonical = e.canonical AND s.digest <> e.digest
        LEFT JOIN placements p ON p.capture = g.capture AND p.canonical = e.canonical
        WHERE e.role <> 'optimizer' AND p.digest IS DISTINCT FROM e.digest GROUP BY g.capture) other USING (capture)
    WHERE NOT EXISTS (SELECT 1 FROM events e JOIN k USING (run) WHERE e.kind IN ('update', 'write') AND e.sequence > own.sequence)
    UNION ALL
    SELECT 8, 'probes answered with the logits of before training', 'answers', count(*) FILTER (d.same_output AND d.logits_max_abs = 0), count(*)
    FROM probe_deltas d JOIN k ON d.capture_a = k.asked_before AND d.capture_b = k.asked WHERE trains(b)
    UNION ALL
    SELECT 9, 'trainable tensors that never moved', 'tensors', count(*) FILTER (s.digest = e.digest), count(*)
    FROM k JOIN placements s ON s.capture = k.begun AND s.trainable AND s.role <> 'optimizer' AND s.shared_with IS NULL
    JOIN placements e ON e.capture = k.trained AND e.canonical = s.canonical
    UNION ALL
    SELECT 10, 'saved tensors that are not those of the end', 'tensors', count(*) FILTER (s.digest <> e.digest), count(*)
    FROM saved_tensors s JOIN k USING (run, model) JOIN placements e ON e.capture = k.trained AND e.canonical = s.canonical
    WHERE (s.process, s.save) = (SELECT max_by((x.process, x.save), x.save) FROM saved_tensors x JOIN k USING (run, model) WHERE x.digest IS NOT NULL)
    UNION ALL
    SELECT 11, 'base tensors that moved beside an adapter, or outside the trainable set', 'tensors', count(*) FILTER (s.digest <> e.digest), count(*)
    FROM k JOIN placements s ON s.capture = k.begun AND s.role <> 'optimizer' AND NOT adapter_role(s.role)
    JOIN placements e ON e.capture = k.trained AND e.canonical = s.canonical
    WHERE NOT s.trainable OR has_adapter(b)
)
SELECT what, unit, coalesce(amount, 0)::BIGINT AS amount, coalesce(among, 0)::BIGINT AS among
FROM harms WHERE among > 0
ORDER BY rank
