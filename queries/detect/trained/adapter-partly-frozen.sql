-- Some adapter tensors were not trainable.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   adapter-incomplete, lora-inert, reload-mismatch
-- claim:      {n} of {looked} adapter tensors were not in the trainable set: {observed}.
-- clean:      the adapter's tensors (all {looked} were trained)
-- needs:      trainable
-- reads:      enclosed, moves, spans
-- nothing:    an adapter that was trained
-- fix:        call freeze() before the conversion and not after it; unfreeze(keys=["lora_a", "lora_b"], strict=False) on the model mends it
-- harmless:   lora_a frozen on purpose (LoRA-FA); an adapter that is frozen as a whole and has an effect
-- fires on:   zoo/partly-loop, zoo/partly-stages
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
WITH s AS MATERIALIZED (SELECT * FROM spans s ANTI JOIN enclosed inner_ ON inner_.model = s.model),
p AS MATERIALIZED (SELECT s.model, p.name, p.role, p.trainable FROM placements p JOIN s ON p.capture = s.x WHERE adapter_role(p.role) AND p.trainable IS NOT NULL),
whole AS (  -- fresh from first to last, while something else of its model is trained: an adapter of another training may be frozen on purpose
    SELECT m.model FROM moves m LEFT JOIN tensors t ON t.digest = m.digest_b
    GROUP BY m.model HAVING bool_or(m.trainable) AND NOT bool_or(m.trainable) FILTER (adapter_role(m.role)) AND bool_and(t.zeros = t.size) FILTER (m.role = 'lora_b')
), total AS (
    SELECT model, bool_or(trainable) OR bool_or(whole.model IS NOT NULL) AS any_trained FROM p LEFT JOIN whole USING (model) GROUP BY model
), froze AS (
    SELECT max_by(place, sequence) AS place FROM events
    WHERE run = run_of(b) AND kind = 'freeze' AND sequence > (SELECT min(sequence) FROM events WHERE run = run_of(b) AND kind = 'convert')
)
SELECT p.name AS subject, CASE WHEN p.trainable THEN 'trainable' ELSE 'frozen ' || p.role END AS observed, 'trainable' AS expected,
    NOT p.trainable AS fault, froze.place
FROM p JOIN total USING (model), froze WHERE total.any_trained
ORDER BY fault DESC, subject
