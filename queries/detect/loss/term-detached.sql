-- A term of the loss carries no gradient.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- claim:      In {steps} of {looked_} steps a forward pass inside the loss got no gradient back: {observed}.
-- clean:      the terms of the loss (each forward gets its gradient)
-- needs:      steps
-- nothing:    a forward pass inside the loss
-- fix:        keep every term in mx: numpy, .item(), .tolist() and mx.stop_gradient make a constant of it
-- harmless:   a reference model, or a second forward of the same rows, whose logits are constants on purpose
-- fires on:   zoo/detached-pairs, zoo/detached-mixed
-- silent on:  zoo/healthy-mixed, zoo/healthy-pairs
WITH s AS (
    SELECT model, count(*) AS n, count(*) FILTER (silent_forwards > 0) AS silent, max(forwards) AS spoke, max(silent_forwards) AS mute
    FROM steps WHERE run = run_of(b) AND silent_forwards IS NOT NULL GROUP BY model HAVING max(forwards) > 0
)
SELECT 'loss of ' || model AS subject, CASE WHEN silent > 0 THEN mute || ' forwards without a gradient beside ' || spoke || ' with one' ELSE spoke || ' forwards, each with a gradient' END AS observed,
    'a gradient for each forward' AS expected, silent >= 0.5 * n AS fault, silent AS steps, n AS looked_,
    (SELECT any_value(place) FROM events WHERE run = run_of(b) AND kind = 'grad') AS place
FROM s
ORDER BY fault DESC, subject
