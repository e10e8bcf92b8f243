-- Of the base, scales or biases of quantized weights moved, and nothing else.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, base-weights-overwritten, base-not-frozen, frozen-but-changed, reload-mismatch, unexplained-change, adapter-not-loaded, adapter-incomplete
-- claim:      {n} of {looked} scales and biases of quantized weights moved, while the codes stayed; first {subject}.
-- clean:      the scales and biases of quantized weights (none of {looked} moved)
-- needs:      parameters
-- reads:      moves
-- nothing:    quantized weights
-- fix:        freeze the quantized layers: unfreeze(keys=["lora_a", "lora_b"], strict=False) leaves their scales and biases alone
-- fires on:   zoo/scales-qlora, zoo/scales-compiled
-- silent on:  zoo/healthy-qlora
WITH m AS MATERIALIZED (SELECT * FROM moves WHERE NOT adapter_role(role)),
codes AS (
    SELECT count(*) AS n FROM m WHERE changed AND role NOT IN ('scales', 'biases')
        AND EXISTS (SELECT 1 FROM m s WHERE s.role = 'scales' AND s.model IS NOT DISTINCT FROM m.model AND s.module = m.module)
), freed AS (
    SELECT max_by(place, sequence) AS place FROM events WHERE run = run_of(b) AND kind = 'unfreeze'
)
SELECT m.name AS subject, CASE WHEN m.changed THEN 'moved' ELSE 'as before' END AS observed, 'as before' AS expected,
    m.changed AND codes.n = 0 AS fault, freed.place
FROM m, codes, freed WHERE m.role IN ('scales', 'biases')
ORDER BY fault DESC, subject
