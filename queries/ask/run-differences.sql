-- In what two runs differ: what was asked for, what was done, what came out. Answers are compared where both were asked the same, as far as that can be told.
--
-- params:  a, b
-- example: forensics query run-differences night other
WITH
r AS (SELECT run_of(a) AS run, model_of(a) AS model, 'a' AS side UNION ALL SELECT run_of(b), model_of(b), 'b'),
facts AS (
    SELECT side, 1 AS rank, 'adapter declared: ' || unnest(['kind', 'rank', 'scale', 'alpha', 'dropout', 'num_layers', 'keys']) AS subject,
        unnest([kind, CAST(d.rank AS VARCHAR), CAST(scale AS VARCHAR), CAST(alpha AS VARCHAR), CAST(dropout AS VARCHAR),
            CAST(num_layers AS VARCHAR), keys]) AS value
    FROM adapters d JOIN r ON d.run = r.run WHERE d.origin = 'declared' AND d.strength = 'strong'
    UNION ALL
    SELECT side, 2, 'adapter at the end: ' || unnest(['kind', 'rank', 'scale', 'dropout', 'modules', 'keys']),
        unnest([kind, CAST(o.rank AS VARCHAR), CAST(scale AS VARCHAR), CAST(dropout AS VARCHAR), CAST(modules AS VARCHAR), keys])
    FROM adapters o JOIN r ON o.capture = CASE side WHEN 'a' THEN capture_of(a) ELSE capture_of(b) END WHERE o.origin = 'observed'
    UNION ALL
    SELECT side, 3, 'trainable tensors: ' || p.role, CAST(count(*) AS VARCHAR)
    FROM placements p JOIN r ON p.capture = coalesce(CASE side WHEN 'a' THEN at_point(a, 'start') ELSE at_point(b, 'start') END,
        CASE side WHEN 'a' THEN capture_of(a) ELSE capture_of(b) END)
    WHERE p.trainable AND p.shared_with IS NULL GROUP BY side, p.role
    UNION ALL
    SELECT side, 4, 'loss weight on ' || unnest(['prompts', 'answers', 'ends', 'all padding']),  -- a row's first pad too
        unnest([printf('%.0f %%', 100 * avg(weight_prompt)), printf('%.0f %%', 100 * avg(weight_answer)),
            printf('%.0f %%', 100 * avg(weight_end)), printf('%.0f %%', 100 * avg(weight_pad))])
    FROM steps s JOIN r ON s.run = r.run AND s.model = r.model GROUP BY side
    UNION ALL
    SELECT side, 5, 'optimizer: ' || unnest(['class', 'learning rate', 'settings']),
        unnest([o.class, CAST(o.learning_rate AS VARCHAR), o.settings])
    FROM optimizers o JOIN r ON o.capture = CASE side WHEN 'a' THEN capture_of(a) ELSE capture_of(b) END
    UNION ALL
    SELECT side, 6, 'updates', CAST(m.updates AS VARCHAR) FROM models m JOIN r ON m.run = r.run AND m.model = r.model
    UNION ALL
    SELECT side, 7, e.kind || ': ' || je.key, CAST(je.value AS VARCHAR)
    FROM events e JOIN r ON e.run = r.run, json_each(e.detail, '$.declared') je WHERE e.kind = 'train'
    UNION ALL
    SELECT side, 8, c.kind || ': ' || c.key, c.value
    FROM configs c JOIN r ON c.capture = r.run OR c.capture = CASE side WHEN 'a' THEN capture_of(a) ELSE capture_of(b) END
    UNION ALL
    SELECT side, 9, 'observed generations: ' || unnest(['temperature', 'top-p', 'top-k', 'sampler', 'size of the stop set', 'finish']),
        unnest([string_agg(DISTINCT brief((g.settings->>'temperature')::DOUBLE), ', '), string_agg(DISTINCT brief((g.settings->>'top_p')::DOUBLE), ', '),
            string_agg(DISTINCT g.settings->>'top_k', ', '), string_agg(DISTINCT g.sampler, ', '), string_agg(DISTINCT CAST(g.stop_tokens AS VARCHAR), ', '),
            string_agg(DISTINCT g.finish_reason, ', ')])
    FROM generations g JOIN r ON g.run = r.run GROUP BY side
    UNION ALL
    SELECT side, 10, 'answer to ' || t.prompt_id, CASE WHEN t.special_tokens > 0 THEN t.special_tokens || ' special of ' ELSE '' END
        || t.output_tokens || ' tokens, ' || t.finish_reason || ' (' || left(t.output_digest, 8) || ')'
    FROM transcripts t JOIN r ON t.capture = CASE side WHEN 'a' THEN probes_at(a) ELSE probes_at(b) END WHERE t.source = 'probe' AND EXISTS (
        SELECT 1 FROM transcripts o WHERE o.capture = CASE side WHEN 'a' THEN probes_at(b) ELSE probes_at(a) END AND o.source = 'probe'
            AND o.prompt_id = t.prompt_id AND o.prompt_digest IS NOT DISTINCT FROM t.prompt_digest)
    UNION ALL
    SELECT side, 11, 'environment: ' || n.key, n.value FROM environment n JOIN r ON n.capture = r.run
), keys AS (
    SELECT max(greatest(key_of(subject), key_of(value))) FILTER (side = 'a') AS in_x, max(greatest(key_of(subject), key_of(value))) FILTER (side = 'b') AS in_y
    FROM facts
), sides AS (
    SELECT facts.rank, facts.subject, string_agg(DISTINCT value, '; ' ORDER BY value) FILTER (side = 'a') AS in_a,
        string_agg(DISTINCT value, '; ' ORDER BY value) FILTER (side = 'b') AS in_b
    FROM facts WHERE value IS NOT NULL GROUP BY facts.rank, facts.subject
)
SELECT subject, in_a, in_b
FROM sides, keys WHERE differ(in_a, in_b) AND NOT (key_of(subject) <> '' AND apart(in_x, in_y))
ORDER BY sides.rank, subject
