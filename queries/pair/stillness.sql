-- Why nothing moved: the first of the causes that holds, in the order in which one hides the next. One row; `cause` is NULL where training went on.
-- trainables: tensors in the trainable set when training was tried. moved: parameters that differ from the beginning of training.
-- undone_place: where what the steps had moved was written over, so that nothing is moved at the end.
--
-- params: a, b
-- reads:  held_against, moves
WITH k AS MATERIALIZED (
    SELECT run_of(b) AS run, model_of(b) AS model, tries(b) AS tries, (SELECT epoch(any_value(created_at)::TIMESTAMPTZ) FROM runs WHERE run = run_of(b)) AS began
), live AS (
    SELECT max_by(c.capture, c.sequence) AS capture, epoch(max_by(c.created_at, c.sequence)::TIMESTAMPTZ) - any_value(k.began) AS at
    FROM captures c JOIN k ON c.run = k.run AND c.model = k.model
    WHERE c.source = 'live' AND c.whole IS DISTINCT FROM false AND coalesce(c.updates, 0) = 0
), last AS (  -- freeze and unfreeze say what they left; a capture after them knows better
    SELECT max_by(e.kind, e.sequence) AS kind, max_by((e.detail->>'trainable_after')::INTEGER, e.sequence) AS trainable, max_by(e.place, e.sequence) AS place,
        max(e.time) AS at
    FROM events e JOIN k ON e.run = k.run AND e.model = k.model WHERE e.kind IN ('freeze', 'unfreeze', 'convert')
), started AS (
    SELECT max_by(c.capture, c.sequence) AS capture FROM captures c JOIN k ON c.run = k.run AND c.model = k.model
    WHERE c.point = 'start' AND c.whole IS DISTINCT FROM false
), asked AS (
    SELECT any_value(e.place) FILTER (e.kind IN ('grad', 'train')) AS place, any_value(e.place) FILTER (e.kind = 'update') AS updated,
        max((e.detail->>'leaves')::INTEGER) FILTER (e.kind = 'grad' AND e.detail->>'wrt' = 'trainable' AND e.model = k.model) AS leaves
    FROM events e JOIN k ON e.run = k.run
), counted AS (
    SELECT CASE WHEN started.capture IS NULL AND asked.leaves IS NOT NULL THEN asked.leaves
        WHEN started.capture IS NULL AND last.kind IN ('freeze', 'unfreeze') AND (live.at < last.at) IS NOT FALSE THEN last.trainable
        ELSE (SELECT count(*) FILTER (p.trainable) FROM placements p
              WHERE p.capture = coalesce(started.capture, live.capture) AND p.trainable IS NOT NULL HAVING count(*) > 0) END AS trainables, last.place
    FROM live, last, started, asked
), own AS (
    SELECT coalesce(sum(m.updates), 0) AS updates, coalesce(sum(m.writes), 0) AS writes, coalesce(sum(m.gradients), 0) AS gradients,
        coalesce(sum(m.updates) FILTER (m.model = k.model), 0) AS updated, count(*) FILTER (m.updates IS NULL) AS unknown
    FROM models m JOIN k ON m.run = k.run
), moved AS (  -- of several models that were trained, the one that moved least
    SELECT arg_min(n, moved) AS n, min(moved) AS moved, arg_min(trained, moved) AS trained
    FROM (SELECT model, count(*) AS n, count(*) FILTER (changed) AS moved, count(*) FILTER (trainable) AS trained FROM moves GROUP BY model)
),
other AS (  -- the object that was updated is neither saved nor asked, and a twin of it is
    SELECT any_value(x.model) AS model, any_value(y.model) AS kept, sum(x.updates) AS updates, bool_or(y.saves > 0) AS saved
    FROM models x JOIN k ON x.run = k.run
    JOIN models y ON y.run = x.run AND y.model <> x.model AND y.class IS NOT DISTINCT FROM x.class AND y.parameters = x.parameters
    WHERE x.updates > 0 AND x.saves = 0 AND x.generations = 0 AND y.updates = 0 AND y.writes = 0
        AND NOT EXISTS (SELECT 1 FROM held_against h WHERE h.model = y.model AND h.present > 0 AND h.before = 0)  -- a running average moves without an update
        AND (y.saves > 0 OR (NOT EXISTS (SELECT 1 FROM models z WHERE z.run = x.run AND z.saves > 0)
            AND NOT EXISTS (SELECT 1 FROM events l JOIN events u ON u.run = l.run AND u.kind = 'update' AND u.sequence < l.sequence
                WHERE l.run = x.run AND l.kind = 'load' AND l.model = y.model AND l.detail->>'via' IS DISTINCT FROM 'reload')  -- what was loaded since is no twin that should have been updated
            AND EXISTS (SELECT 1 FROM events g JOIN events u ON u.run = g.run AND u.kind = 'update' AND u.sequence < g.sequence
                WHERE g.run = x.run AND g.kind = 'generate' AND g.model = y.model)))
), fixed AS (
    SELECT any_value(c.purpose) AS purpose, any_value(c.place) AS place, max(c.calls) AS calls, max(c.traces) AS traces,
        bool_or(NOT c.state_in_inputs) AS no_inputs, bool_or(NOT c.state_in_outputs) AS no_outputs
    FROM compiled c JOIN k ON c.run = k.run
    WHERE c.purpose IN ('step', 'gradient') AND ((c.calls > c.traces AND NOT c.state_in_inputs) OR (c.purpose = 'step' AND NOT c.state_in_outputs))
), steps_ AS (
    SELECT sum(n) AS n, sum(measured) AS measured, min(gradient) AS gradient, min(change) AS change, min(rate) AS rate, sum(rates) AS rates, arg_min(forwards, gradient) AS forwards
    FROM (
        SELECT count(*) AS n, count(s.gradient_norm) AS measured, max(s.gradient_norm) AS gradient, max(s.update_norm) AS change,
            max(abs(s.learning_rate)) AS rate, count(s.learning_rate) AS rates, max(s.forwards) AS forwards
        FROM steps s JOIN k ON s.run = k.run GROUP BY s.model)
), dead AS (  -- an adapter whose factors or scale give no gradient is a fault of its own
    SELECT coalesce(bool_and(each), false) AS dead FROM (
        SELECT bool_and(coalesce(p.zeros = p.size, false)) OR bool_or(coalesce(x.scale = 0, false)) AS each
        FROM parameters p JOIN started ON p.capture = coalesce(started.capture, capture_of(b)) LEFT JOIN modules x ON x.capture = p.capture AND x.module = p.module
        WHERE p.role IN ('lora_a', 'lora_b') GROUP BY p.module)
), ended AS (
    SELECT any_value(exception) AS exception FROM endings(b)
), put AS (
    SELECT max_by(e.place, e.sequence) AS place FROM events e JOIN k ON e.run = k.run AND e.model = k.model
    WHERE e.kind = 'write' AND (e.detail->>'after_gradient')::BOOLEAN
), failed AS (
    SELECT count(*) AS n, any_value(e.detail->>'call') AS call, any_value(e.detail->>'type') AS type, any_value(e.place) AS place
    FROM events e JOIN k ON e.run = k.run WHERE e.kind = 'error' AND (e.detail->>'caught')::BOOLEAN
        AND regexp_matches(e.detail->>'call', 'value_and_grad|mx.grad|Optimizer|mlx_lm.train')
)
SELECT k.tries, counted.trainables, counted.place AS set_place, own.updates, own.updated, own.writes, own.gradients, moved.n AS parameters, moved.moved, moved.trained,
    other.model AS other, other.kept, other.updates AS other_updates, other.saved AS other_saved, fixed.purpose, fixed.place AS compiled_place,
    fixed.calls, fixed.traces, fixed.no_inputs, fixed.no_outputs,
    steps_.n AS steps, steps_.measured, steps_.gradient, steps_.rate, steps_.rates, steps_.forwards,
    ended.exception, failed.n AS errors, failed.call, failed.type, failed.place AS error_place, asked.place AS grad_place, asked.updated AS update_place,
    CASE WHEN steps_.change > 0 AND moved.moved = 0 AND fixed.calls IS NULL THEN put.place END AS undone_place,
    CASE WHEN NOT k.tries THEN NULL
         WHEN counted.trainables = 0 AND own.updated = 0 THEN 'nothing-trainable'
         WHEN own.updates = 0 AND own.unknown = 0 AND own.writes * 2 <= own.gradients AND moved.moved = 0 THEN 'optimizer-never-stepped'
         WHEN other.model IS NOT NULL THEN 'wrong-model-updated'
         WHEN fixed.calls IS NOT NULL THEN 'compile-state-not-captured'
         WHEN steps_.measured > 0 AND steps_.gradient = 0 AND NOT dead.dead THEN 'gradients-zero'
         WHEN steps_.rates > 0 AND steps_.rate = 0 THEN 'learning-rate-zero'
         WHEN own.updated > 0 AND moved.trained > 0 AND moved.moved = 0 AND steps_.gradient > 0 AND NOT dead.dead AND coalesce(steps_.change, 0) = 0
             THEN 'update-lost-to-rounding'
    END AS cause
FROM k, counted, own, moved, other, fixed, steps_, dead, ended, put, failed, asked
