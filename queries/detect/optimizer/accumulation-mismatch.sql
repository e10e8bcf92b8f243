-- Gradients are gathered in another way than declared.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   schedule-in-wrong-unit
-- claim:      {observed}; {expected}.
-- clean:      the gathering of gradients ({observed})
-- needs:      steps
-- nothing:    an update
-- fix:        {fix_}
-- fires on:   zoo/sum-accumulate, zoo/count-accumulate, zoo/each-mixed
-- silent on:  zoo/healthy-accumulated, zoo/healthy-mixed, zoo/healthy-accumulated-command
WITH s AS MATERIALIZED (
    SELECT model, count(*) AS updates, sum(gradients) AS gradients, mode(gradients) AS usual, min_by(gradients, step) AS first, median(accumulation) AS ratio,
        count(*) FILTER (gradients = 1) AS ones, max(gradients) AS most,
        (list(gradient_norm ORDER BY step) FILTER (accumulation IS NOT NULL))[:8] AS norms, (list(accumulation ORDER BY step) FILTER (accumulation IS NOT NULL))[:8] AS parts
    FROM steps WHERE run = run_of(b) AND gradients IS NOT NULL GROUP BY model
), grown AS (  -- what was gathered before stays: the norm only grows, and more is applied than the batches of one update gave
    SELECT model, coalesce(len(norms) = 8 AND isfinite(norms[8]) AND list_sort(norms) = norms AND norms[8] >= 2 * norms[1]
        AND list_aggregate(parts[2:], 'median') > 1.2 * parts[1], false) AS kept
    FROM s
), declared_ AS (
    SELECT coalesce(list(DISTINCT k) FILTER (said), list(DISTINCT k)) AS ks FROM (  -- what a trainer was told counts where the program says nothing
        SELECT TRY_CAST(value AS INTEGER) AS k, true AS said FROM configs WHERE capture = run_of(b) AND kind = 'program' AND ends_with(key, 'gradient_accumulation_steps')
        UNION ALL
        SELECT (detail->'declared'->>'grad_accumulation_steps')::INTEGER, false FROM events WHERE run = run_of(b) AND kind = 'train')
    WHERE k IS NOT NULL
), whole AS (  -- a mean over the tokens of one batch: its weights sum to 1, and are not yet divided
    SELECT model, max(w) AS w FROM (SELECT model, step, forward, sum(weight) AS w FROM loss_tokens WHERE run = run_of(b) GROUP BY ALL) GROUP BY model
), place_ AS (SELECT any_value(place) AS place FROM events WHERE run = run_of(b) AND kind = 'update')
SELECT 'updates of ' || s.model AS subject, s.updates || ' updates from ' || s.gradients || ' gradients' AS observed,
    CASE WHEN len(d.ks) > 0 THEN 'one update for every ' || array_to_string(d.ks, ' or ') || ' gradients is declared' ELSE 'the first came after ' || s.first END AS expected,
    s.updates >= 3 AND ((len(d.ks) > 0 AND NOT list_contains(d.ks, s.usual) AND list_max(d.ks) > 1)
        OR (s.first > CASE WHEN len(d.ks) > 0 THEN 1 ELSE 2 END AND s.usual = 1 AND s.ones = s.updates - 1 AND s.updates >= 4)) AS fault, place_.place,
    'update when (step + 1) % gradient_accumulation_steps == 0, and set the gathered gradients and their counter back after it' AS fix_, 'certain' AS confidence
FROM s, declared_ d, place_
UNION ALL
SELECT 'gradients of ' || s.model,
    CASE WHEN grown.kept THEN printf('what is gathered grew with each of the first 8 updates, from a norm of %s to %s', brief(s.norms[1]), brief(s.norms[8]))
         ELSE 'what ' || s.usual || ' batches gave was ' || CASE WHEN s.ratio > 0.75 THEN 'added up' ELSE 'averaged' END END,
    CASE WHEN grown.kept THEN 'each update is to hold the mean of its own ' || s.usual || ' batches' ELSE 'a mean over ' || s.usual || ' batches' END, s.usual > 1 AND (grown.kept OR (s.ratio > 0.75 AND whole.w BETWEEN 0.9 AND 1.1)), place_.place,
    CASE WHEN grown.kept THEN 'set the gathered gradients back after optimizer.update, not their counter alone'
         ELSE 'divide by the number of batches before optimizer.update: tree_map(lambda g: g / n, gathered)' END,
    CASE WHEN grown.kept THEN 'strong' ELSE 'certain' END
FROM s JOIN grown USING (model) JOIN whole USING (model), place_ WHERE s.usual > 1 AND s.ratio IS NOT NULL
ORDER BY fault DESC, subject
