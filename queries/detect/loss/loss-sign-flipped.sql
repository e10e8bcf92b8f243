-- The loss pushes the right tokens away.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, generation-collapse, update-too-large, weights-not-finite
-- claim:      The weights of the loss sum to {observed} in each of {steps:step|steps}: training makes the targets less likely.
-- clean:      the sign of the loss (weights sum to {observed})
-- needs:      loss_tokens, steps
-- nothing:    a loss of one forward a step
-- fix:        minimise the mean of nn.losses.cross_entropy(logits, targets) itself: it is the negative log-likelihood, and needs no minus
-- fires on:   zoo/sign-qlora, zoo/sign-classes
WITH s AS (
    SELECT model, avg(weight_sum / forwards) AS mean, max(weight_sum) AS most, count(*) AS n FROM steps
    WHERE run = run_of(b) AND forwards > 0 AND forwards <= coalesce(gradients, 1) AND weight_sum IS NOT NULL AND NOT isnan(weight_sum) AND weight_sum <> 0
    GROUP BY model
), t AS (  -- a batch of chosen and rejected rows has both signs
    SELECT model, count(*) FILTER (weight > 0) AS plus, count(*) FILTER (weight < 0) AS minus FROM loss_tokens WHERE run = run_of(b) AND residual <= 0.05 GROUP BY model
)
SELECT 'loss of ' || s.model AS subject, round(s.mean, 3) AS observed, 'above 0' AS expected, s.most < 0 AND t.plus = 0 AND t.minus > 0 AS fault, s.n AS steps,
    (SELECT any_value(place) FROM events WHERE run = run_of(b) AND kind = 'grad') AS place
FROM s JOIN t USING (model)
ORDER BY fault DESC, subject
