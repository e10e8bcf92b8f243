-- The learning rate's schedule counts something else than updates.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   loss-not-decreasing
-- claim:      {observed}, {expected}.
-- clean:      the schedule's length ({observed})
-- needs:      steps
-- nothing:    a schedule of the learning rate
-- fix:        {fix_}
-- fires on:   zoo/unit-accumulate, zoo/unit-compiled
-- silent on:  zoo/healthy-accumulated
WITH s AS MATERIALIZED (
    SELECT count(*) AS updates, sum(gradients) AS gradients, sum(gradients) / count(*) AS each, max(learning_rate) AS peak,
        max_by(learning_rate, step) AS last, count(*) FILTER (learning_rate <= 1e-3 * peak_) AS idle, min(step) FILTER (learning_rate <= 1e-3 * peak_ AND step > peak_at) AS stopped
    FROM (SELECT *, max(learning_rate) OVER () AS peak_, min(step) FILTER (learning_rate > 0) OVER () AS peak_at FROM steps WHERE run = run_of(b))
), d AS MATERIALIZED (
    SELECT sum(steps) AS total, max(steps) AS longest, arg_max(kind, steps) AS kind, arg_max(place, steps) AS place,
        max(steps) FILTER (kind <> 'linear_schedule') AS decay
    FROM schedules WHERE run = run_of(b) AND steps IS NOT NULL HAVING count(*) > 0
)
SELECT d.kind AS subject,
    CASE WHEN s.idle > 0.5 * s.updates THEN 'the rate had fallen to ' || coalesce(s.last, 0) || ' at update ' || coalesce(s.stopped, 1) || ' of ' || s.updates
         ELSE d.kind || ' runs over ' || d.total || ' steps' END AS observed,
    CASE WHEN s.idle > 0.5 * s.updates THEN 'its schedule is ' || d.total || ' steps long' ELSE 'and the run makes ' || s.updates || ' updates from ' || s.gradients || ' batches' END AS expected,
    (s.each >= 1.5 AND d.total > 1.2 * s.updates AND (abs(d.total - s.gradients) <= 0.1 * s.gradients OR abs(d.longest - s.gradients) <= 0.1 * s.gradients))
    OR (s.peak > 0 AND s.idle > 0.5 * s.updates AND s.updates >= 4 AND d.decay < 0.5 * s.updates) AS fault, d.place,
    CASE WHEN s.each >= 1.5 AND s.idle <= 0.5 * s.updates THEN 'give the schedule the number of updates: iterations // gradient_accumulation_steps, for optimizers count updates and not batches'
         ELSE 'give the schedule the number of optimizer updates of the whole run, not of epochs or parts' END AS fix_
FROM s, d WHERE s.updates > 0
ORDER BY subject
