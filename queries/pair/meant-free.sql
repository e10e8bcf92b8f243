-- Base tensors beside an adapter that moved and may well be meant to: unfrozen by the program outside the adapted layers, merged into while
-- their adapter began anew, statistics that a layer keeps of its batches, and weights that stand as before in a later capture of the live model.
--
-- params: a, b
-- reads:  moves, spans
WITH unfrozen AS (
    SELECT e.model FROM events e WHERE e.run = run_of(b) AND e.kind = 'unfreeze' GROUP BY e.model
), empty AS (  -- adapters that hold nothing at the end, though they were trained
    SELECT s.model, x.canonical || '.weight' AS canonical
    FROM parameters p JOIN spans s ON p.capture = s.y JOIN modules x ON x.capture = p.capture AND x.module = p.module
    WHERE p.role = 'lora_b' AND p.zeros = p.size
)
SELECT m.model, m.canonical, 'unfrozen' AS why FROM moves m JOIN unfrozen u ON u.model IS NOT DISTINCT FROM m.model
WHERE m.changed AND m.trainable AND m.role IN ('embedding', 'head', 'norm', 'bias')
UNION ALL
SELECT m.model, m.canonical, 'merged' FROM moves m JOIN empty e ON e.model IS NOT DISTINCT FROM m.model AND e.canonical = m.canonical
WHERE m.changed AND NOT m.trainable
UNION ALL
SELECT m.model, m.canonical, 'statistics' FROM moves m WHERE m.changed
    AND (ends_with(m.canonical, '.running_mean') OR ends_with(m.canonical, '.running_var'))
UNION ALL
SELECT m.model, m.canonical, 'put back' FROM moves m WHERE m.changed AND m.model IS NOT NULL AND EXISTS (
    FROM placements p JOIN captures c ON c.capture = p.capture
    WHERE c.run = run_of(b) AND c.model = m.model AND c.sequence > sequence_of(b) AND c.point NOT IN ('saved', 'reloaded')  -- files on their base
        AND p.canonical = m.canonical AND p.digest = m.digest_a)
