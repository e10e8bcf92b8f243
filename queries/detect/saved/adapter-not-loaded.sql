-- An adapter's file holds tensors that the model has no place for.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, output-unchanged, adapter-incomplete, score-dropped, wrong-base, fuse-lost-update
-- claim:      {observed}: loading with strict=False left them out without a word.
-- clean:      the loading of adapters ({seen})
-- rules out:  saved-untrained, adapter-incomplete
-- needs:      run
-- reads:      adapter_loads
-- nothing:    a load of an adapter's file
-- fix:        {fix_}
-- fires on:   zoo/unread-plain, zoo/unread-prefix
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-continued
SELECT CASE WHEN l.place IS NULL THEN 'reload of what was saved' ELSE 'load at ' || l.place END AS subject,
    CASE WHEN l.unexpected > 0 THEN l.unexpected || ' of ' || l.names || ' names in the file are not in the model' ELSE 'all ' || l.names || ' names met' END AS observed,
    'every name in the file is one of the model' AS expected, l.unexpected > 0 AS fault, l.place,
    CASE WHEN sum((l.place IS NOT NULL)::INTEGER) OVER () > 0 THEN sum((l.place IS NOT NULL)::INTEGER) OVER () || ' by the program, all names met'
         ELSE 'none by the program; all names of what was saved are met' END AS seen,
    CASE WHEN l.matched = 0 AND NOT EXISTS (SELECT 1 FROM modules x JOIN captures c ON c.capture = x.capture WHERE c.run = run_of(b) AND c.model = l.model AND x.kind IN ('adapter', 'dora'))
         THEN 'put the adapter layers in first: mlx_lm.load(base, adapter_path=...) or mlx_lm.tuner.utils.load_adapters(model, path), not model.load_weights(..., strict=False)'
         ELSE 'save the names that tree_flatten(model.trainable_parameters()) gives, and load with load_adapters, which refuses other names' END AS fix_
FROM adapter_loads l WHERE l.names > 0 AND l.unexpected IS NOT NULL
ORDER BY fault DESC, l.sequence
