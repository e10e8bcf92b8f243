-- The adapter was trained and cannot change the output.
--
-- severity:   error
-- role:       consequence
-- confidence: certain
-- explains:   output-unchanged, parameters-unchanged, loss-not-decreasing, gradients-zero, saved-untrained
-- claim:      {n:adapter multiplies|adapters all multiply} to exactly zero after training: {observed}.
-- clean:      an adapter without effect ({observed})
-- needs:      parameters, end
-- reads:      enclosed, meant_free, spans, stillness
-- nothing:    the model has no adapter
-- fix:        {fix_}
-- harmless:   before the first update, where lora_b is zero on purpose
-- fires on:   zoo/inert-handmade, zoo/inert-loop
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mlp-last-layer
WITH pairs AS MATERIALIZED (
    SELECT s.model, p.module,
        bool_or(p.zeros = p.size) FILTER (p.role = 'lora_a') AS dead_a, bool_or(p.zeros = p.size) FILTER (p.role = 'lora_b') AS dead_b
    FROM parameters p JOIN spans s ON p.capture = s.y ANTI JOIN enclosed inner_ ON inner_.model = s.model
    WHERE p.role IN ('lora_a', 'lora_b') GROUP BY s.model, p.module
), scales AS (SELECT s.model, x.module, max(x.scale) AS scale FROM modules x JOIN spans s ON x.capture = s.y WHERE x.rank IS NOT NULL GROUP BY s.model, x.module),
tried AS (
    SELECT CASE WHEN watched(b) THEN (SELECT coalesce(sum(updates), 0) + coalesce(sum(writes), 0) FROM models WHERE run = run_of(b)) ELSE 1 END AS updates
), dead AS (
    SELECT pairs.*, scales.scale, coalesce(dead_a, false) OR coalesce(dead_b, false) OR coalesce(scales.scale = 0, false) AS inert,
        (SELECT any_value(f.why) FROM meant_free f WHERE f.why = 'merged' AND f.model IS NOT DISTINCT FROM pairs.model) AS merged
    FROM pairs LEFT JOIN scales ON scales.module = pairs.module AND scales.model IS NOT DISTINCT FROM pairs.model
)
SELECT module AS subject,
    CASE WHEN scale = 0 THEN 'the scale is 0' WHEN dead_a AND dead_b THEN 'lora_a and lora_b are zero' WHEN dead_a THEN 'lora_a is zero'
         WHEN dead_b THEN 'lora_b is zero' ELSE 'factors and scale are not zero' END AS observed,
    'a product that is not zero' AS expected,
    bool_and(inert AND merged IS NULL) OVER (PARTITION BY model) AND tried.updates > 0 AS fault,
    CASE WHEN scale = 0 THEN 'set the adapter''s scale to a value above 0'
         WHEN dead_a AND dead_b THEN 'begin with a random lora_a, as LoRALinear does: with both factors zero, both gradients are zero for ever'
         WHEN s.undone_place IS NOT NULL THEN 'the updates moved lora_b, and the state of the beginning was written back: copy the state that is to be kept after an update'
         ELSE 'find why lora_b never moved in the causes above; where there are none, look at its gradient, in the table gradients' END AS fix_,
    s.undone_place AS place
FROM dead, tried, (SELECT any_value(undone_place) AS undone_place FROM stillness) s
ORDER BY subject
