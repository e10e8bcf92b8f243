-- A compiled function draws the same random numbers at each call.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   output-unchanged, generation-collapse, loss-not-decreasing, score-dropped
-- claim:      A compiled {purpose} draws random numbers and {observed}.
-- clean:      random numbers in compiled functions ({observed})
-- needs:      compiled
-- nothing:    a compiled function that draws random numbers
-- fix:        add mx.random.state to both: @partial(mx.compile, inputs=state, outputs=state) with state = [model.state, optimizer.state, mx.random.state]
-- fires on:   zoo/frozen-step, zoo/frozen-sampler
-- silent on:  zoo/healthy-dropout-in-training, zoo/healthy-sampling
SELECT coalesce(c.place, 'function ' || c.function) AS subject,
    CASE WHEN c.random_captured THEN 'the random state is captured' ELSE 'leaves the random state out: each of ' || c.calls || ' calls draws the same' END AS observed,
    'the random state in inputs and outputs' AS expected, NOT c.random_captured AND c.calls > c.traces AS fault, c.place,
    CASE c.purpose WHEN 'step' THEN 'training step' WHEN 'other' THEN 'function' ELSE c.purpose END AS purpose
FROM compiled c WHERE c.run = run_of(b) AND c.random_used AND c.random_captured IS NOT NULL
ORDER BY fault DESC, subject
