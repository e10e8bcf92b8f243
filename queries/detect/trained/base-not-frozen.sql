-- Base weights were trained beside the adapter.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, base-weights-overwritten, reload-mismatch, adapter-incomplete, adapter-not-loaded
-- claim:      {n:base tensor|base tensors} stood in the trainable set beside the adapter and moved; first {subject}.
-- clean:      the base weights (none of {looked} was trained)
-- rules out:  frozen-but-changed
-- needs:      parameters, trainable
-- reads:      made, moves
-- nothing:    an adapter that was trained
-- fix:        {fix_}
-- harmless:   what the program made itself, as a head is; an embedding, head or norm outside the adapted layers that was unfrozen on purpose is told as info
-- fires on:   zoo/unfrozen-loop, zoo/unfrozen-classes, zoo/unfrozen-resume
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
WITH frees AS (
    SELECT e.model, max_by(e.place, e.sequence) FILTER (e.kind = 'unfreeze') AS unfrozen, count(*) FILTER (e.kind = 'freeze') AS freezes,
        count(*) FILTER (e.kind = 'unfreeze') AS unfreezes,
        any_value(e.place) FILTER (e.kind = 'load' AND e.detail->>'what' IN ('adapter', 'weights') AND e.detail->>'via' <> 'reload') AS loaded,
        any_value(e.place) FILTER (e.kind = 'convert') AS converted
    FROM events e WHERE e.run = run_of(b) GROUP BY e.model
), m AS MATERIALIZED (
    SELECT moves.*, trainable AND changed AND role NOT IN ('scales', 'biases') AS bad
    FROM moves moves ANTI JOIN made made ON made.model IS NOT DISTINCT FROM moves.model AND made.canonical = moves.canonical
    WHERE moves.adapter AND NOT adapter_role(moves.role)
), whole AS (
    SELECT bool_and(role IN ('embedding', 'head', 'norm', 'bias')) AS outside FROM m WHERE bad
)
SELECT m.name AS subject, CASE WHEN m.bad THEN 'trained, and moved' WHEN m.trainable THEN 'trainable, did not move' ELSE 'frozen' END AS observed,
    'frozen' AS expected, coalesce(m.bad, false) AS fault,
    CASE WHEN whole.outside AND frees.unfreezes > 0 THEN 'info' ELSE 'error' END AS severity,
    CASE WHEN frees.unfreezes > 0 AND frees.freezes > 0 THEN frees.unfrozen ELSE coalesce(frees.loaded, frees.converted) END AS place,
    CASE WHEN frees.unfreezes > 0 AND frees.freezes > 0 THEN 'unfreeze the adapter alone: unfreeze(keys=["lora_a", "lora_b"], strict=False)'
         WHEN frees.loaded IS NOT NULL THEN 'call model.freeze() before load_adapters(model, path): loading does not freeze the base'
         ELSE 'call model.freeze() before the adapter is put in' END AS fix_
FROM m LEFT JOIN frees USING (model), whole
ORDER BY fault DESC, m.role = 'bias', subject
