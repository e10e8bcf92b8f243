-- Generation used other parameters than training ended with.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   output-unchanged, score-dropped, generation-collapse
-- claim:      {n} of {looked} generations after training used {observed}; the trained object is another.
-- clean:      the parameters that generation used ({looked:generation|generations}, of them with the trained ones: {trained})
-- rules out:  stale-compiled-function, stale-prompt-cache, adapter-not-loaded, wrong-model-updated
-- needs:      generations, parameters, end
-- reads:      asked_after, saves_held
-- nothing:    a generation after training
-- fix:        {fix_}
-- harmless:   a comparison with the base beside answers of the trained model; a running average that is saved; what was trained is no part of the model that generates
-- fires on:   zoo/copy-before, zoo/copy-unblended
-- silent on:  zoo/healthy-average, zoo/healthy-roundtrip, zoo/healthy-fused
WITH asked AS (  -- heads, a projector or a prefix are no part of the model that generates: it is of another class, and has no such tensor
    SELECT q.*, q.present > 0 OR coalesce(x.class = y.class, true) AS could_hold
    FROM asked_after q LEFT JOIN models x ON x.run = q.run AND x.model = q.model LEFT JOIN models y ON y.run = q.run AND y.model = model_of(b)
    WHERE q.moved > 0
), sums AS (
    SELECT count(*) FILTER (used IN ('trained', 'saved')) AS trained, count(*) FILTER (used IN ('start', 'part', 'base alone') AND coalesce(saves_of, 0) = 0 AND model <> model_of(b) AND could_hold) AS stale,
        count(*) AS n FROM asked
), kept AS (  -- the last file that holds all of what was trained
    SELECT max_by(file || coalesce(', written at ' || place, ''), save) AS file FROM saves_held WHERE present > 0 AND after = present AND present = moved
), loaded AS (  -- models that were loaded since training began
    SELECT l.model, bool_or(coalesce((l.detail->>'from_adapter')::BOOLEAN, false)) AS adapter FROM events l
    WHERE l.run = run_of(b) AND l.kind = 'load' AND l.model <> model_of(b) AND l.detail->>'via' IS DISTINCT FROM 'reload'
        AND l.sequence > (SELECT min(u.sequence) FROM events u WHERE u.run = run_of(b) AND u.kind IN ('update', 'write')) GROUP BY l.model
)
SELECT 'generation ' || g.generation AS subject,
    CASE g.used WHEN 'start' THEN 'the parameters from before training' WHEN 'base alone' THEN 'a model without what was trained'
        WHEN 'part' THEN printf('parameters of which %d of %d are those after training', g.after, g.moved) WHEN 'trained' THEN 'the trained parameters' WHEN 'saved' THEN 'the parameters that were saved' ELSE 'another base' END
    || CASE WHEN g.model <> model_of(b) AND g.used NOT IN ('trained', 'saved') THEN ' (object ' || g.model || ')' ELSE '' END AS observed,
    'the parameters after the last update (object ' || model_of(b) || ')' AS expected,
    sums.trained = 0 AND sums.stale = sums.n AS fault, g.asked_at AS place, sums.trained AS trained,
    CASE WHEN l.model IS NULL OR kept.file IS NULL THEN 'generate with the object that optimizer.update was given, or make the copy after training'
         WHEN has_adapter(b) AND NOT l.adapter THEN 'load the trained adapter with the model: mlx_lm.load(base, adapter_path=...), the directory of ' || kept.file
         ELSE 'load the file that holds the trained parameters: ' || kept.file END AS fix_
FROM asked g CROSS JOIN sums CROSS JOIN kept LEFT JOIN loaded l ON l.model = g.model
ORDER BY fault DESC, g.generation
