-- The learning rate was zero at every step.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, loss-constant, loss-not-decreasing,
-- saved-untrained, schedule-in-wrong-unit
-- claim:      The learning rate was 0 at each of {steps:update|updates}.
-- clean:      the learning rate (up to {observed})
-- needs:      steps, every_step
-- reads:      stillness
-- nothing:    an update whose rate was seen
-- setting:    learning_rate, lr_schedule
-- fix:        give the optimizer a rate above 0: check integer division, a schedule's first value and its
-- warm-up, and numbers that came as text
-- fires on:   zoo/rate-loop, zoo/rate-compiled
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
select
    'learning rate' as subject,
    s.rate as observed,
    'above 0' as expected,
    s.rate = 0 as fault,
    s.rates as steps,
    optimizer_place(b) as place
from stillness s
where s.rates > 0
order by subject
