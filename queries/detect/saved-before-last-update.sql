-- What was saved is a state from the middle of training.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, score-dropped
-- claim:      The last file was written after update {updates} of {total}: {observed}.
-- clean:      the last save (after update {updates} of {total})
-- rules out:  saved-untrained, adapter-incomplete
-- needs:      saved, parameters, end
-- nothing:    a saved file of a model that training moved
-- fix:        save once more after the loop, when the last optimizer.update is done
-- harmless:   the best of several checkpoints, where the program measures them (told as info)
-- fires on:   zoo/midway-functions, zoo/midway-class
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
WITH s AS (SELECT * FROM saves_held(a, b) WHERE present > 0), any_ AS (SELECT bool_or(after = present) AS good, max(save) AS last, max(updates) AS latest FROM s),
measured AS (
    SELECT (SELECT count(*) FROM events e WHERE e.run = run_of(b) AND e.kind = 'evaluate')
        + (SELECT count(*) FILTER (x.outside_forwards > 0) FROM steps x WHERE x.run = run_of(b) AND x.model = model_of(b)) AS n
)
SELECT 'save ' || s.save || ' (' || s.file || ')' AS subject,
    CASE WHEN s.after = s.present THEN printf('all %d trained tensors are as after the last update', s.present)
         ELSE printf('%d of %d trained tensors differ from those after the last update', s.present - s.after, s.present) END AS observed,
    'the parameters after the last update' AS expected,
    NOT any_.good AND s.save = any_.last AND any_.latest > 0 AND any_.latest < s.total AND s.before < s.present AS fault, s.place, s.updates, s.total,
    CASE WHEN measured.n > 1 THEN 'info' ELSE 'error' END AS severity
FROM s, any_, measured
ORDER BY fault DESC, s.save DESC
