-- An adapter was put on a layer that already had one.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   lora-partial, adapter-not-loaded, adapter-incomplete, reload-mismatch, adapter-partly-frozen, base-not-frozen, optimizer-restarted
-- claim:      {n:layer has|layers have} an adapter around an adapter; first {subject}: {observed} adapters.
-- clean:      nested adapters (one adapter a layer, {looked:layer|layers})
-- needs:      parameters
-- reads:      adapted_at_end
-- nothing:    the model has no adapter
-- fix:        convert once: fuse or remove the first adapter before the second conversion (remove_lora_layers), or train on with the one that is there
-- fires on:   zoo/nested-loop, zoo/nested-stages
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
WITH last AS (
    SELECT coalesce(max_by(x.capture, c.sequence), capture_of(b)) AS capture FROM captures c JOIN modules x ON x.capture = c.capture
    WHERE c.run = run_of(b) AND x.adapters > 1 AND watched(b) AND c.point NOT IN ('saved', 'reloaded')
), doubled AS (
    SELECT place FROM events WHERE run = run_of(b) AND kind = 'convert' AND (detail->>'nested_after')::INTEGER > 0 ORDER BY sequence LIMIT 1
)
SELECT t.canonical AS subject, max(t.adapters) AS observed, 1 AS expected, max(t.adapters) > 1 AS fault, (SELECT place FROM doubled) AS place
FROM (SELECT canonical, adapters FROM adapted((SELECT capture FROM last)) UNION ALL SELECT canonical, adapters FROM adapted_at_end) t
GROUP BY t.canonical
ORDER BY subject
