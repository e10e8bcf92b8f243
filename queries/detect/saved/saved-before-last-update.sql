-- What was saved is a state from the middle of training.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, score-dropped
-- claim:      {written}: {observed}.
-- clean:      the last save ({seen})
-- rules out:  saved-untrained, adapter-incomplete
-- needs:      saved, parameters, end
-- reads:      own_moves, saves_held
-- nothing:    a saved file of a model that training moved
-- fix:        save once more after the loop, when the last optimizer.update is done
-- harmless:   the best of several checkpoints, where the program measures them; arrays that no live model holds, a running average among them (told as info)
-- fires on:   zoo/midway-functions, zoo/midway-class
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
WITH s AS (SELECT * FROM saves_held WHERE present > 0), any_ AS (SELECT bool_or(after = present) AS good, max(save) AS last, max(updates) AS latest FROM s),
between_ AS (  -- arrays that no live model holds, none as before training or after it, and no cast of either
    SELECT s.process, s.save, bool_and(coalesce(x.dtype = y.dtype, false)) AS other
    FROM s JOIN saved_tensors t ON t.run = run_of(b) AND t.process = s.process AND t.save = s.save
    JOIN own_moves m ON m.canonical = t.canonical AND m.changed
    LEFT JOIN tensors x ON x.digest = coalesce(t.digest_on_disk, t.digest) LEFT JOIN tensors y ON y.digest = m.digest_b
    WHERE s.updates IS NULL AND s.total > 0 AND s.present = s.moved AND s.after = 0 AND s.before = 0 GROUP BY s.process, s.save
), measured AS (
    SELECT (SELECT count(*) FROM events e WHERE e.run = run_of(b) AND e.kind = 'evaluate')
        + (SELECT count(*) FILTER (x.outside_forwards > 0) FROM steps x WHERE x.run = run_of(b) AND x.model = model_of(b)) AS n
)
SELECT 'save ' || s.save || ' (' || s.file || ')' AS subject,
    CASE WHEN s.after = s.present THEN printf('all %d trained tensors are as after the last update', s.present)
         ELSE printf('%d of %d trained tensors differ from those after the last update', s.present - s.after, s.present) END AS observed,
    'the parameters after the last update' AS expected,
    NOT any_.good AND s.save = any_.last AND s.before < s.present
        AND (coalesce(any_.latest > 0 AND any_.latest < s.total, false) OR coalesce(between_.other, false)) AS fault, s.place, s.updates, s.total,
    CASE WHEN s.updates IS NULL THEN 'The last file holds arrays of no live model, of a state in between or averaged'
         ELSE 'The last file was written after update ' || s.updates || ' of ' || s.total END AS written,
    CASE WHEN s.updates IS NULL THEN printf('%d of %d trained tensors are as after the last update', s.after, s.present)
         ELSE 'after update ' || s.updates || ' of ' || s.total END AS seen,
    CASE WHEN measured.n > 1 OR between_.other THEN 'info' ELSE 'error' END AS severity,
    CASE WHEN between_.other THEN 'possible' END AS confidence
FROM s CROSS JOIN any_ CROSS JOIN measured LEFT JOIN between_ ON between_.process = s.process AND between_.save = s.save
ORDER BY fault DESC, s.save DESC
