-- The trained adapter lies on another base than the one it was trained on.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, stale-model-in-generation, score-dropped, generation-collapse
-- claim:      Under the trained adapter {observed}.
-- clean:      the base under the adapter ({observed})
-- rules out:  base-not-frozen, lora-scale-mismatch
-- needs:      parameters
-- reads:      held_against, learned_values, own_moves
-- nothing:    the trained adapter on a base, a second time
-- fix:        load the base that the adapter was trained on, unchanged: the same revision, the same quantization
-- fires on:   zoo/other-release, zoo/other-in-memory
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
WITH h AS (
    SELECT * FROM held_against WHERE capture <> capture_of(b) AND base > 0 AND present > 0 AND after > 0
        AND (model <> model_of(b) OR source = 'reload') AND (SELECT bool_or(adapter_role(role)) FROM learned_values)
), kinds AS (
    SELECT h.capture, bool_and(t.dtype <> u.dtype) AS other_type
    FROM h JOIN placements p ON p.capture = h.capture JOIN own_moves m ON m.canonical = p.canonical AND NOT m.changed AND p.digest <> m.digest_b
    JOIN tensors t ON t.digest = p.digest JOIN tensors u ON u.digest = m.digest_b GROUP BY h.capture
)
SELECT h.capture AS subject,
    CASE WHEN h.base_moved > 0 THEN printf('%d of %d base tensors are not those of training', h.base_moved, h.base) || CASE WHEN kinds.other_type THEN ' (of another type: quantized or converted)' ELSE '' END
         ELSE printf('all %d base tensors are those of training', h.base) END AS observed,
    'the base of training' AS expected, h.base_moved > 0 AS fault,
    (SELECT any_value(c.place) FROM captures c WHERE c.capture = h.capture) AS place,
    CASE WHEN kinds.other_type THEN 'warning' ELSE 'error' END AS severity
FROM h LEFT JOIN kinds ON kinds.capture = h.capture
ORDER BY fault DESC, h.sequence
