-- Equal parameters and prompts were sampled with other settings.
--
-- severity:   warning
-- role:       cause
-- confidence: strong
-- explains:   output-unchanged, score-dropped, generation-collapse
-- claim:      The same prompt was answered by equal parameters with {observed}, and with {expected}.
-- clean:      the sampler ({looked:pair|pairs} of equal prompts and parameters, equal settings)
-- rules out:  dropout-in-generation, reload-mismatch
-- needs:      generations
-- reads:      asked_after
-- nothing:    two generations of one prompt with equal parameters
-- fix:        give both the same sampler: make_sampler(temp=..., top_p=...), and temp=0 where answers are compared
-- harmless:   several settings tried on one model, which is told as info
-- fires on:   zoo/draws-after-reload, zoo/draws-in-one-line
-- silent on:  zoo/healthy-sampling-twice, zoo/healthy-roundtrip
WITH asked AS (
    SELECT g.generation, g.model, g.prompt_digest, g.asked_at, g.used, g.capture, g.sampler, coalesce(g.settings->>'temperature', '') AS temperature, coalesce(g.settings->>'top_p', '') AS top_p,
        g.sampler || coalesce(', temperature ' || brief((g.settings->>'temperature')::DOUBLE), '') || coalesce(', top-p ' || brief(nullif((g.settings->>'top_p')::DOUBLE, 0)), '')
        || coalesce(', top-k ' || nullif(g.settings->>'top_k', '0'), '') || coalesce(', min-p ' || brief(nullif((g.settings->>'min_p')::DOUBLE, 0)), '') AS said
    FROM asked_after g WHERE g.prompt_digest IS NOT NULL AND g.sampler <> 'unknown'
)
SELECT 'generations ' || x.generation || ' and ' || y.generation AS subject, y.said AS observed, x.said AS expected, x.said <> y.said AS fault,
    y.asked_at AS place, CASE WHEN x.model <> y.model THEN 'warning' ELSE 'info' END AS severity
FROM asked x JOIN asked y ON x.prompt_digest = y.prompt_digest AND x.generation < y.generation AND (x.capture = y.capture OR (x.used = y.used AND x.used IN ('trained', 'saved')))
ORDER BY fault DESC, severity DESC, x.generation, y.generation
