-- The learning rate was zero at every step.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, loss-constant, loss-not-decreasing, saved-untrained, schedule-in-wrong-unit
-- claim:      The learning rate was 0 at each of {steps:update|updates}.
-- clean:      the learning rate (up to {observed})
-- needs:      steps
-- reads:      stillness
-- nothing:    an update whose rate was seen
-- fix:        give the optimizer a rate above 0: check integer division, a schedule's first value and its warm-up, and numbers that came as text
-- fires on:   zoo/rate-loop, zoo/rate-compiled
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
SELECT 'learning rate' AS subject, s.rate AS observed, 'above 0' AS expected, s.rate = 0 AS fault, s.rates AS steps, s.update_place AS place
FROM stillness s WHERE s.rates > 0
ORDER BY subject
