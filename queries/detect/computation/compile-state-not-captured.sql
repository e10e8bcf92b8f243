-- A compiled function works on the state that it was traced with.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, loss-constant, loss-not-decreasing, save-failed, saved-untrained, error-swallowed, optimizer-restarted, schedule-in-wrong-unit, stale-compiled-function, reload-mismatch
-- claim:      The compiled {purpose} {observed}: {expected}.
-- clean:      the compiled functions (their state is captured)
-- needs:      compiled
-- nothing:    a compiled training step
-- fix:        state = [model.state, optimizer.state, mx.random.state]; @partial(mx.compile, inputs=state, outputs=state)
-- fires on:   zoo/stateless-compiled, zoo/outputs-compiled, zoo/outputs-half
-- silent on:  zoo/healthy-compiled
SELECT coalesce(c.place, 'function ' || c.function) AS subject, c.purpose,
    'was called ' || c.calls || ' times with ' || CASE
        WHEN NOT c.state_in_inputs AND NOT coalesce(c.state_in_outputs, true) THEN 'the model neither in inputs nor in outputs'
        WHEN NOT c.state_in_inputs THEN 'the model not in inputs' WHEN NOT c.state_in_outputs THEN 'the model not in outputs' ELSE 'its state captured' END AS observed,
    CASE WHEN NOT coalesce(c.state_in_outputs, true) AND c.purpose = 'step' AND NOT c.state_in_inputs THEN 'every call began again from the weights of its trace, and what it changed was thrown away'
         WHEN NOT c.state_in_inputs THEN 'every call began again from the weights of its trace'
         WHEN NOT c.state_in_outputs THEN 'what a call changed was thrown away' ELSE 'each call goes on where the last one ended' END AS expected,
    (c.calls > c.traces AND NOT c.state_in_inputs) OR (c.purpose = 'step' AND NOT c.state_in_outputs) AS fault, c.place
FROM compiled c WHERE c.run = run_of(b) AND c.purpose IN ('step', 'gradient') AND c.state_in_inputs IS NOT NULL
ORDER BY fault DESC, subject
