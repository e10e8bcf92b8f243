-- Weights hold NaN or infinity.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, loss-not-decreasing, generation-collapse, reload-mismatch, lora-starts-nonzero, output-unchanged, base-weights-overwritten, update-too-large, answers-truncated, dropout-in-generation, stale-prompt-cache, stale-compiled-function
-- claim:      {n} of {looked} tensors hold NaN or infinity; {first}.
-- clean:      the weights (all of {looked:tensor is|tensors are} finite)
-- needs:      parameters
-- reads:      spans
-- nothing:    parameters with statistics
-- fix:        {fix_}
-- harmless:   infinities that stood there before training and never moved, as those of a mask do
-- fires on:   zoo/nan-half, zoo/nan-loop
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
WITH s AS MATERIALIZED (
    SELECT min(step) FILTER (isnan(loss) OR isinf(loss)) AS loss_at, min(step) FILTER (nonfinite > 0) AS gradient_at,
        min(step) FILTER (isnan(update_norm) OR isinf(update_norm)) AS update_at
    FROM steps WHERE run = run_of(b)
), g AS (
    SELECT min_by(name, step) AS name FROM gradients WHERE run = run_of(b) AND (nonfinite OR isnan(update_norm) OR isinf(update_norm))
), t AS MATERIALIZED (
    SELECT p.capture, p.name, p.nans, p.infs, p.size, p.dtype, coalesce(p.nans, 0) + coalesce(p.infs, 0) > 0 AS bad, before.bad AS already, before.digest = p.digest AS still
    FROM parameters p JOIN (SELECT DISTINCT y, x FROM spans) e ON p.capture = e.y
    LEFT JOIN LATERAL (SELECT coalesce(q.nans, 0) + coalesce(q.infs, 0) > 0 AS bad, q.digest FROM parameters q
        WHERE q.capture = e.x AND q.name = p.name AND p.capture <> e.x LIMIT 1) before ON true
    WHERE p.role <> 'optimizer' AND p.nans IS NOT NULL
), half AS (SELECT mode(dtype) FILTER (bad) AS dtype FROM t)
SELECT t.name AS subject, CASE WHEN t.bad THEN t.nans || ' NaN, ' || t.infs || ' infinite of ' || t.size || CASE WHEN t.already THEN ', before training already' ELSE '' END
    ELSE 'finite' END AS observed, 'finite' AS expected, t.bad AND NOT (coalesce(t.already, false) AND t.nans = 0 AND t.still) AS fault,
    CASE WHEN s.gradient_at IS NULL AND s.update_at IS NULL AND s.loss_at IS NULL THEN 'no step showed it'
         WHEN coalesce(s.update_at, 1e18) < least(coalesce(s.gradient_at, 1e18), coalesce(s.loss_at, 1e18)) THEN 'the update of step ' || s.update_at || ' made them, out of a finite loss and finite gradients' || coalesce(', first in ' || g.name, '')
         WHEN coalesce(s.gradient_at, 1e18) < coalesce(s.loss_at, 1e18) THEN 'the gradient of step ' || s.gradient_at || ' brought them, from a finite loss' || coalesce(', first in ' || g.name, '')
         ELSE 'the loss of step ' || s.loss_at || ' was the first that was not finite' END AS first,
    CASE WHEN s.update_at IS NOT NULL AND s.update_at < least(coalesce(s.gradient_at, 1e18), coalesce(s.loss_at, 1e18)) AND half.dtype = 'F16'
            THEN 'Adam''s eps of 1e-8 is 0 in float16: train in bfloat16 or float32, or pass eps=1e-4'
         WHEN s.gradient_at < coalesce(s.loss_at, 1e18) THEN 'look for a square root, logarithm or division at 0 in the loss: its value is finite and its gradient is not'
         WHEN s.loss_at IS NOT NULL THEN 'look at the batch of step ' || s.loss_at || ': a division by a mask''s sum needs mx.maximum(sum, 1)'
         ELSE 'stop where a loss or gradient is not finite' END AS fix_,
    (SELECT any_value(place) FROM events WHERE run = run_of(b) AND kind = 'update') AS place
FROM t, s, g, half
ORDER BY fault DESC, subject
