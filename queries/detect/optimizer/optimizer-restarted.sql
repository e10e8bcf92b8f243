-- The optimizer began again where the run went on.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- claim:      {observed}, though {expected}.
-- clean:      the optimizer's state ({observed})
-- needs:      steps
-- reads:      meant_free
-- nothing:    a second phase of training
-- fix:        {fix_}
-- harmless:   one or two phases with another rate, other parameters in each phase, weights that are written between them, or mlx-lm's own trainer, which has no way to keep the state: told as info
-- fires on:   zoo/restarted-stages, zoo/restarted-resume
-- silent on:  zoo/healthy-resume, zoo/healthy-stages
WITH u AS MATERIALIZED (  -- which optimizer updated which model, from when to when
    SELECT model, optimizer, min(step) AS first, max(step) AS last, count(*) AS n, sum(count(*)) OVER (PARTITION BY model ORDER BY max(step)) AS done FROM steps WHERE run = run_of(b) AND optimizer IS NOT NULL GROUP BY model, optimizer
), o AS MATERIALIZED (
    SELECT c.model, o.optimizer, any_value(o.class) AS class, max(o.step) AS step, arg_max(o.learning_rate, c.sequence) AS rate,
        arg_max(o.settings, c.sequence) AS settings, max(o.state_l2) AS state, max(o.state_tensors) AS tensors
    FROM optimizers o JOIN captures c USING (capture) WHERE c.run = run_of(b) GROUP BY c.model, o.optimizer
), own AS (  -- a phase that begins from loaded weights, or in mlx-lm's own trainer
    SELECT count(*) FILTER (kind = 'train') AS n,
        count(*) FILTER (kind = 'load' AND detail->>'what' IN ('weights', 'adapter') AND detail->>'via' <> 'reload'
            AND sequence > (SELECT min(sequence) FROM events WHERE run = run_of(b) AND kind = 'update')) AS loads,
        count(*) FILTER (kind IN ('write', 'convert', 'fuse') AND sequence > (SELECT min(sequence) FROM events WHERE run = run_of(b) AND kind = 'update')) AS writes
    FROM events WHERE run = run_of(b)
), updated AS (  -- do all optimizers of a model update the same parameters, as far as was kept?
    SELECT model, count(DISTINCT names) = 1 AND count(DISTINCT optimizer) > 1 AS alike
    FROM (SELECT s.model, s.step, s.optimizer, list(g.name ORDER BY g.name) AS names FROM steps s JOIN gradients g USING (run, process, model, step) WHERE s.run = run_of(b) GROUP BY ALL)
    GROUP BY model
),
again AS (  -- the same object under one optimizer and then, once that one is done, under the next
    SELECT y.model, x.done AS before, q.class, q.step AS step, y.n, q.step > y.n AS kept,
        p.rate = q.rate AND p.settings = q.settings AND p.class = q.class AS same,
        count(*) FILTER (q.step <= y.n AND p.settings = q.settings AND p.class = q.class AND p.tensors = q.tensors) OVER (PARTITION BY y.model) AS times
    FROM u y ASOF JOIN u x ON x.model = y.model AND x.last < y.first
    JOIN o p ON p.model = x.model AND p.optimizer = x.optimizer JOIN o q ON q.model = y.model AND q.optimizer = y.optimizer
    WHERE q.state > 0
), later AS (  -- another object that begins where one that was trained has ended
    SELECT DISTINCT x.model AS former, y.model AS model
    FROM placements p JOIN captures x ON x.capture = p.capture AND x.run = run_of(b) AND x.source = 'live' AND x.updates > 0
    JOIN placements q ON q.digest = p.digest AND q.canonical = p.canonical AND q.trainable
    JOIN captures y ON y.capture = q.capture AND y.run = x.run AND y.point = 'start' AND y.model <> x.model AND y.sequence > x.sequence
    WHERE p.trainable AND NOT EXISTS (SELECT 1 FROM placements z JOIN captures c ON c.capture = z.capture
        WHERE c.run = x.run AND c.model = x.model AND c.point = 'start' AND z.canonical = p.canonical AND z.digest = p.digest)
), resumed AS (
    SELECT l.model, p.n AS before, s.class, s.step, y.n, s.step > 0 AND s.state_l2 > 0 AS kept, p_.rate = q.rate AND p_.settings = q.settings AND p_.class = q.class AS same, 0 AS times
    FROM later l JOIN u p ON p.model = l.former JOIN u y ON y.model = l.model
    JOIN o p_ ON p_.model = p.model AND p_.optimizer = p.optimizer JOIN o q ON q.model = y.model AND q.optimizer = y.optimizer
    JOIN captures c ON c.run = run_of(b) AND c.model = l.model AND c.point = 'start' JOIN optimizers s ON s.capture = c.capture AND s.optimizer = y.optimizer
    WHERE q.state > 0
), every AS (SELECT *, 'stage' AS kind FROM again UNION ALL SELECT *, 'resume' FROM resumed),
one AS (
    SELECT 'updates' AS subject, 'one optimizer made all ' || sum(n) || ' updates' AS observed FROM u HAVING count(*) > 0
)
SELECT every.model || ' after ' || counted(before, 'update') AS subject,
    CASE WHEN kept THEN class || ' went on from its state' ELSE class || ' began at step 0 with empty moments' || CASE WHEN times > 1 THEN printf(', %d times in all', times) ELSE '' END END AS observed,
    counted(before, 'update') || ' had been made' AS expected, NOT kept AS fault,
    CASE WHEN own.n > 0 THEN 'info' WHEN EXISTS (FROM meant_free f WHERE f.why = 'merged') THEN 'info'  -- merged, and the adapter began anew with it
         WHEN same AND (kind = 'resume' OR own.loads + own.writes = 0) THEN 'error'
         WHEN times > 2 AND coalesce(updated.alike, false) AND own.loads + own.writes = 0 THEN 'error' ELSE 'info' END AS severity,  -- so often is no phase, whatever the rate
    (SELECT max_by(place, sequence) FROM events WHERE run = run_of(b) AND kind = 'update' AND events.model = every.model) AS place,
    CASE WHEN kind = 'stage' THEN 'make the optimizer once, outside the function that each stage calls'
         ELSE 'save optimizer.state (mx.save_safetensors(path, dict(tree_flatten(optimizer.state)))) and put it back: optimizer.state = tree_unflatten(list(mx.load(path).items()))' END AS fix_
FROM every JOIN own ON true LEFT JOIN updated USING (model)
UNION ALL
SELECT subject, observed, 'its state is kept', false, NULL, NULL, NULL FROM one WHERE NOT EXISTS (FROM every)
ORDER BY fault DESC, length(subject), subject
