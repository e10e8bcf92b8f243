-- A fresh adapter changes the output before any update.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   update-too-large, output-unchanged
-- claim:      Before the first update {n} of {looked} adapters already change the output; first {subject}: {observed}.
-- clean:      the fresh adapter (it changes nothing before the first update, {looked:layer|layers})
-- needs:      run
-- nothing:    a fresh adapter, before its first update
-- fix:        begin with lora_b = mx.zeros(...) (for DoRA, with m the row norms of the base weight), so that training starts from the base model
-- harmless:   an adapter that was loaded to train on with
-- fires on:   zoo/nonzero-loop, zoo/nonzero-handmade
-- silent on:  zoo/healthy-step-0
WITH first AS MATERIALIZED (
    SELECT min_by(c.capture, c.sequence) AS capture, min(c.sequence) AS sequence
    FROM captures c JOIN placements p ON p.capture = c.capture
    WHERE c.run = run_of(b) AND c.model = model_of(b) AND c.source = 'live' AND coalesce(c.updates, 0) = 0 AND adapter_role(p.role)
), last AS MATERIALIZED (  -- adapters may be filled after they are put in
    SELECT coalesce((
        SELECT max_by(c.capture, c.sequence) FROM captures c
        WHERE c.run = run_of(b) AND c.model = model_of(b) AND c.source = 'live' AND c.point = 'start' AND coalesce(c.updates, 0) = 0
    ), first.capture) AS capture FROM first WHERE first.capture IS NOT NULL
), before AS MATERIALIZED (
    SELECT max_by(c.capture, c.sequence) AS capture FROM captures c, first
    WHERE c.run = run_of(b) AND c.model = model_of(b) AND c.source = 'live' AND c.sequence < first.sequence
), filled AS (  -- weights that came from a file are no fresh adapter
    SELECT count(*) AS n FROM events WHERE run = run_of(b) AND kind = 'load' AND (model = model_of(b) OR (model IS NULL AND detail->>'what' = 'arrays'))
        AND (detail->>'what' IN ('adapter', 'weights') OR (detail->>'from_adapter')::BOOLEAN) AND coalesce(detail->>'via', '') <> 'reload'
), answers AS (
    SELECT max(d.logits_max_abs) AS moved, max(d.logits_scale) AS scale FROM probe_deltas d, before, last
    WHERE d.capture_a IN (SELECT coalesce(probes_of, capture) FROM captures WHERE capture = before.capture)
      AND d.capture_b IN (SELECT coalesce(probes_of, capture) FROM captures WHERE capture = last.capture)
), precision AS (
    SELECT CASE WHEN bool_or(dtype IN ('BF16', 'F16')) THEN 0.02 ELSE 1e-3 END AS noise FROM parameters, before WHERE parameters.capture = before.capture
), factors AS (
    SELECT p.module, max(p.l2) FILTER (p.role = 'lora_b') AS b_l2, max(p.l2) FILTER (p.role = 'lora_a') AS a_l2, bool_or(p.role = 'dora_m') AS dora
    FROM parameters p, last WHERE p.capture = last.capture AND adapter_role(p.role) GROUP BY p.module
)
SELECT module AS subject,
    CASE WHEN b_l2 > 0 THEN 'lora_b has norm ' || round(b_l2, 3) ELSE 'lora_b is zero' END
    || coalesce(', logits move by ' || round(moved, 3) || ' of ' || round(scale, 1), '') AS observed,
    'no change of the output' AS expected,
    CASE WHEN dora AND b_l2 = 0 THEN coalesce(moved > noise * scale, false) ELSE b_l2 > 0 AND coalesce(moved > noise * scale, true) END AS fault
FROM factors, answers, precision, filled
WHERE filled.n = 0
ORDER BY fault DESC, subject
