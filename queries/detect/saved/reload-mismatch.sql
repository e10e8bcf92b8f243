-- What was saved answers otherwise than the live model, when it is loaded again.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- claim:      Loaded again, the saved model differs from the live one: {observed}.
-- clean:      the reload ({observed})
-- rules out:  adapter-not-loaded, adapter-incomplete, saved-untrained, wrong-base, lora-scale-mismatch
-- needs:      reloaded, end
-- reads:      adapter_loads, held_against, saves_held
-- nothing:    what was saved, loaded again
-- params:     a, b, floor = 0.02
-- fix:        compare names and values in the file with tree_flatten(model.parameters()) of the live model, and write what config.json and adapter_config.json must say
-- fires on:   zoo/other-head, zoo/scaled-file
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints, zoo/healthy-fused
WITH h AS (SELECT * FROM held_against WHERE source = 'reload'),
probes AS (
    SELECT h.capture, max(d.logits_max_abs / nullif(d.logits_scale, 0)) AS relative, max(d.logits_max_abs) AS apart, any_value(d.logits_scale) AS scale
    FROM h JOIN probe_deltas d ON h.model = model_of(b) AND d.capture_a = coalesce((SELECT c.probes_of FROM captures c WHERE c.capture = capture_of(b)), capture_of(b)) AND d.capture_b = h.capture GROUP BY h.capture
), file AS (
    SELECT capture, min_by(lost, lost + other) AS lost, min_by(other, lost + other) AS other, min_by(n, lost + other) AS n FROM (
        SELECT h.capture, count(*) FILTER (r.canonical IS NULL) AS lost, count(*) FILTER (r.digest <> s.digest) AS other, count(*) AS n
        FROM h JOIN captures c ON c.run = run_of(b) AND c.point = 'saved' AND c.model = h.model
        JOIN placements s ON s.capture = c.capture AND s.role <> 'optimizer' LEFT JOIN placements r ON r.capture = h.capture AND r.canonical = s.canonical
        GROUP BY h.capture, c.capture
    ) GROUP BY capture
), saves AS (SELECT coalesce(bool_or(save = (SELECT max(save) FROM saves_held) AND (before = present OR (updates < total AND after < present))), false) AS early FROM saves_held WHERE present > 0
), met AS (SELECT coalesce(bool_or(unexpected > 0 OR absent > 0), false) AS partly FROM adapter_loads
), fused AS (SELECT h.capture FROM h WHERE h.present = 0 AND h.base_moved > 0)
SELECT h.capture AS subject,
    CASE WHEN file.lost > 0 THEN printf('%d of %d tensors in the file are not in the model that loads it', file.lost, file.n)
         WHEN file.other > 0 THEN printf('%d of %d tensors in the file are other ones in the model that loads it', file.other, file.n)
         WHEN probes.relative > floor THEN printf('logits differ by %.3g (they reach %.3g)', probes.apart, probes.scale) || CASE WHEN h.after < h.present THEN printf('; %d of %d trained tensors differ', h.moved - h.after, h.moved) ELSE '' END
         WHEN probes.capture IS NULL AND h.model = model_of(b) AND h.after < h.moved THEN printf('%d of %d trained tensors differ', h.moved - h.after, h.moved)
         WHEN probes.capture IS NOT NULL THEN printf('logits differ by %.3g', probes.apart) ELSE 'the parameters of the file' END AS observed,
    'the logits and parameters of the live model' AS expected,
    (coalesce(file.lost > 0, false) AND NOT met.partly) OR coalesce(file.other > 0, false)
        OR (fused.capture IS NULL AND CASE WHEN probes.capture IS NOT NULL THEN probes.relative > floor ELSE h.model = model_of(b) AND h.after < h.moved END
            AND NOT (saves.early OR met.partly OR h.base_moved > 0)) AS fault,
    (SELECT max_by(s.place, s.save) FROM saved_tensors s WHERE s.run = run_of(b) AND s.model = h.model) AS place
FROM h CROSS JOIN saves CROSS JOIN met LEFT JOIN probes USING (capture) LEFT JOIN file USING (capture) LEFT JOIN fused USING (capture)
WHERE h.moved > 0
ORDER BY fault DESC, h.sequence
