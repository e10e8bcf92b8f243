-- A conversion to adapters converted nothing.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   base-weights-overwritten, full-weights-trained, nothing-trainable, save-failed, adapter-not-loaded, reload-mismatch
-- claim:      The conversion to adapters converted nothing: {observed}.
-- clean:      the targets of the adapter ({observed})
-- rules out:  lora-missing
-- needs:      run
-- reads:      declared, meant
-- nothing:    no conversion to adapters was attempted
-- fix:        name the targets as they stand inside a block ({example}), and check that tree_flatten(model.trainable_parameters()) holds lora_a afterwards
-- fires on:   zoo/unmatched-api, zoo/unmatched-classes, zoo/unmatched-command
WITH inside AS MATERIALIZED (
    SELECT canonical, kind, regexp_replace(canonical, '^(.*\.)?' || coalesce(layer::VARCHAR, '[^.]*') || '\.', '') AS path
    FROM modules WHERE capture = capture_of(b) AND kind IN ('linear', 'quantized', 'embedding', 'switch')
), example AS (SELECT coalesce(min(path) FILTER (path LIKE '%q%proj'), min(path), 'self_attn.q_proj') AS path FROM inside),
calls AS (
    SELECT e.sequence, e.place, (e.detail->>'adapted_after')::INTEGER AS adapted, (e.detail->>'adapted_before')::INTEGER AS before,
        (e.detail->>'candidates')::INTEGER AS candidates, from_json(e.detail->'requested'->'keys', '["VARCHAR"]') AS keys,
        coalesce((e.detail->>'ok')::BOOLEAN, true) AS ok, e.detail->>'via' AS via, (e.detail->>'made')::INTEGER AS made
    FROM events e WHERE e.run = run_of(b) AND e.kind = 'convert'
), said AS (
    SELECT DISTINCT unnest(keys) AS key_ FROM declared WHERE strength = 'strong'
), keyed AS (
    SELECT count(*) AS n, string_agg(key_, ', ' ORDER BY key_) AS keys,
        count(*) FILTER (EXISTS (SELECT 1 FROM inside i WHERE answers_to(i.canonical, said.key_))) AS answered
    FROM said
)
SELECT coalesce(c.via, 'conversion') AS subject,
    CASE WHEN c.adapted > 0 THEN c.adapted || ' layers adapted'
         WHEN c.keys IS NOT NULL THEN 'none of ' || array_to_string(c.keys, ', ') || ' is the path of one of ' || c.candidates || ' layers inside a block'
         WHEN c.via = 'walk' THEN 'a walk over the modules found no layer to convert'
         WHEN coalesce(c.made, 0) > 0 THEN c.made || ' adapter layers were made, and none stands in the model'
         ELSE '0 of ' || c.candidates || ' layers were converted' END AS observed,
    'at least one adapted layer' AS expected, NOT (c.adapted > 0) AND NOT has_adapter(b) AND c.ok AS fault, c.place, example.path AS example
FROM calls c, example, meant m
WHERE c.via IS DISTINCT FROM 'walk' OR m.kind IN ('lora', 'dora')
UNION ALL
SELECT 'declared targets', 'no module answers to ' || keyed.keys, 'at least one adapted layer', true, NULL, example.path
FROM keyed, example
WHERE keyed.n > 0 AND keyed.answered = 0 AND NOT EXISTS (FROM calls) AND NOT has_adapter(b) AND tries(b) AND EXISTS (FROM inside)
ORDER BY subject
