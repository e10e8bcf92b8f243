-- The trained model answers exactly as the base does.
--
-- severity:   warning
-- role:       symptom
-- confidence: certain
-- claim:      {looked:probe is|probes are all} answered exactly as before training{how}.
-- clean:      the answers (training changed them)
-- needs:      probes, end
-- nothing:    probes of a run that trains
-- fix:        look at the causes above; where there are none, train longer or at a higher rate, and ask what the data teaches
-- harmless:   equal greedy answers with other logits (told as info)
-- fires on:   zoo/early-functions
-- silent on:  zoo/healthy-roundtrip
WITH k AS MATERIALIZED (SELECT probes_at(a) AS x, probes_at(b) AS y), d AS (
    SELECT d.prompt_id, d.same_output, d.logits_max_abs FROM probe_deltas d JOIN k ON d.capture_a = k.x AND d.capture_b = k.y
    UNION ALL
    SELECT t.prompt_id, true, 0.0 FROM transcripts t JOIN k ON k.x = k.y AND t.capture = k.x WHERE t.source = 'probe'
), all_ AS (SELECT bool_and(same_output) AS same, bool_and(logits_max_abs = 0) AS equal FROM d)
SELECT 'probe ' || d.prompt_id AS subject, CASE WHEN d.same_output THEN 'the same answer' ELSE 'another answer' END || coalesce(printf(', logits differ by %.3g', d.logits_max_abs), '') AS observed,
    'an answer that training changed' AS expected, all_.same AS fault, CASE WHEN all_.equal THEN 'warning' ELSE 'info' END AS severity,
    CASE WHEN all_.equal THEN ', with equal logits' ELSE '' END AS how
FROM d, all_
WHERE trains(b) AND a <> b AND (run_of(a) <> run_of(b) OR sequence_of(a) < sequence_of(at_point(b, 'end'))) IS NOT FALSE
ORDER BY subject
