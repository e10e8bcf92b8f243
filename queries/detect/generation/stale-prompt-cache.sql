-- A prompt cache holds the keys and values of other weights.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   score-dropped, output-unchanged, generation-collapse
-- claim:      With its prompt cache a generation differs from the same without by {observed}.
-- clean:      the prompt cache ({observed})
-- rules out:  stale-model-in-generation, dropout-in-generation
-- needs:      generations
-- nothing:    a generation whose cache was looked at
-- params:     a, b, floor = 0.02, times = 10
-- fix:        fill the cache after training or loading, with the model that generates: make_prompt_cache(model), then the prefix
-- fires on:   zoo/cache-system, zoo/cache-first-turn
-- silent on:  zoo/healthy-prompt-cache
SELECT 'generation ' || g.generation AS subject,
    CASE WHEN g.cache_tokens = 0 THEN 'a fresh cache' ELSE printf('%.3g (logits reach %.3g)', g.cache_difference, g.logit_scale) END
    || CASE WHEN g.cache_updates_behind > 0 THEN '; the cache is ' || counted(g.cache_updates_behind, 'update') || ' old' ELSE '' END AS observed,
    'no difference' AS expected,
    coalesce(g.cache_tokens > 0 AND g.cache_difference > floor * coalesce(g.logit_scale, 1) AND g.cache_difference > times * coalesce(g.repeat_difference, 0)
        AND (g.cache_updates_behind > 0 OR NOT regexp_matches(coalesce(g.settings, ''), 'kv_bits|max_kv_size')), false) AS fault,
    g.place, CASE WHEN g.cache_updates_behind > 0 THEN 'strong' ELSE 'probable' END AS confidence
FROM generations g WHERE g.run = run_of(b) AND (g.cache_tokens = 0 OR g.cache_difference IS NOT NULL)
ORDER BY fault DESC, g.generation
