-- Saving failed, or left a file without tensors.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, adapter-incomplete, error-swallowed, output-unchanged, stale-model-in-generation, adapter-not-loaded
-- claim:      {observed}.
-- clean:      saving ({looked:file|files} with tensors)
-- rules out:  saved-untrained
-- needs:      run
-- nothing:    a save of the program
-- fix:        {fix_}
-- fires on:   zoo/empty-file, zoo/raised-and-caught
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
WITH k AS MATERIALIZED (SELECT run_of(b) AS run), saves AS (
    SELECT e.sequence, e.place, coalesce((e.detail->>'ok')::BOOLEAN, true) AS ok, (e.detail->>'names')::INTEGER AS names, e.detail->>'via' AS via, (e.detail->>'save')::INTEGER AS save, e.process
    FROM events e JOIN k USING (run) WHERE e.kind = 'save'
), disk AS (
    SELECT process, save, count(name) AS names, count(digest_on_disk) AS there, any_value(file) AS file FROM saved_tensors JOIN k USING (run) GROUP BY process, save
), raised AS (
    SELECT e.sequence, e.place, e.detail->>'type' AS type, e.detail->>'call' AS call FROM events e JOIN k USING (run)
    WHERE e.kind = 'error' AND regexp_matches(coalesce(e.detail->>'call', ''), 'save')
), good AS (SELECT max(sequence) AS last FROM saves WHERE ok AND names > 0)
SELECT 'save at ' || coalesce(s.place, 'unknown place') AS subject,
    CASE WHEN NOT s.ok THEN s.via || ' raised, and no whole file was left' WHEN s.names = 0 THEN s.via || ' wrote a file without a single tensor'
         WHEN d.there < d.names AND d.there > 0 THEN printf('%d of %d tensors in %s cannot be read back', d.names - d.there, d.names, d.file)
         ELSE s.via || ' wrote ' || counted(s.names, 'tensor') END AS observed,
    'a file with the trained tensors' AS expected,
    ((NOT s.ok OR s.names = 0) AND coalesce(good.last, -1) < s.sequence) OR coalesce(d.there < d.names AND d.there > 0, false) AS fault, s.place,
    CASE WHEN s.names = 0 THEN 'flatten before you filter: dict(tree_flatten(model.trainable_parameters())); the keys of the nested tree are those of the first level'
         ELSE 'let the exception out, hand a flat dict of arrays to ' || s.via || ', and check the file after writing' END AS fix_
FROM saves s LEFT JOIN disk d ON d.process = s.process AND d.save = s.save, good
UNION ALL
SELECT 'save at ' || coalesce(r.place, 'unknown place'), r.call || ' raised ' || r.type, 'a file with the trained tensors', coalesce(good.last, -1) < r.sequence, r.place,
    'let the exception out, and hand a flat dict of arrays: dict(tree_flatten(model.trainable_parameters()))'
FROM raised r, good WHERE NOT EXISTS (SELECT 1 FROM saves s WHERE s.place = r.place)
ORDER BY fault DESC, subject
