-- A saved adapter lacks tensors that the model's adapter has.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, output-unchanged, score-dropped, saved-before-last-update
-- claim:      {observed}.
-- clean:      the completeness of adapter files ({looked} looked at)
-- rules out:  adapter-not-loaded, saved-untrained
-- needs:      run
-- reads:      adapter_loads
-- nothing:    an adapter's file that was saved or loaded
-- fix:        save all of dict(tree_flatten(model.trainable_parameters())): half an adapter loads without a word, and what is missing stays as it was made
-- fires on:   zoo/half-filtered, zoo/half-one-factor
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
WITH own AS MATERIALIZED (
    SELECT p.canonical FROM placements p WHERE p.capture = capture_of(b) AND adapter_role(p.role)
), saves AS (
    SELECT s.save, any_value(s.file) AS file, any_value(s.place) AS place, count(own.canonical) AS present, (SELECT count(*) FROM own) AS n
    FROM saved_tensors s LEFT JOIN own ON own.canonical = s.canonical WHERE s.run = run_of(b) AND (s.model IS NULL OR s.model = model_of(b)) GROUP BY s.process, s.save
)
SELECT 'save ' || s.save || ' (' || s.file || ')' AS subject,
    CASE WHEN s.present < s.n THEN printf('%d of %d adapter tensors are not in the file %s', s.n - s.present, s.n, s.file) ELSE 'all ' || s.n || ' adapter tensors are in the file' END AS observed,
    'every adapter tensor is in the file' AS expected, s.present < s.n AS fault, s.place
FROM saves s WHERE s.present > 0
UNION ALL
SELECT CASE WHEN l.place IS NULL THEN 'reload of what was saved' ELSE 'load at ' || l.place END,
    CASE WHEN l.absent > 0 THEN printf('%d adapter tensors of the model are not in the file, which holds %d', l.absent, l.names) ELSE 'no adapter tensor is missing in the file' END,
    'every adapter tensor is in the file', l.absent > 0, l.place
FROM adapter_loads l WHERE l.matched > 0 AND l.unexpected = 0 AND l.absent IS NOT NULL
ORDER BY fault DESC, subject NOT LIKE 'save %', subject  -- what a file lacks is mended where it is written
