-- A compiled forward answers with weights that the model no longer has.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   score-dropped, output-unchanged, loss-constant, loss-not-decreasing
-- claim:      A compiled forward differs from the model itself by {observed} on equal arguments: it holds
-- the weights of its trace.
-- clean:      compiled forwards (they agree with the model: {observed})
-- rules out:  dropout-in-generation, compile-state-not-captured
-- needs:      compiled
-- nothing:    a compiled forward that was compared with the model
-- params:     a, b, floor = logit_noise()
-- numbers:    floor - of the largest output, see logit_noise()
-- fix:        compile it with the model's state: mx.compile(forward, inputs=model.state), and compile
-- anew after load_weights or a change of layers
-- fires on:   zoo/forward-functions, zoo/forward-class
-- silent on:  zoo/healthy-sampling, zoo/healthy-dropout-in-training
select
    coalesce(c.place, 'function ' || c.function) as subject,
    printf('%.3g (logits reach %.3g)', c.live_difference, c.live_scale) as observed,
    'the model''s own output, within rounding' as expected,
    c.live_difference > floor * c.live_scale
    and coalesce(c.repeat_difference, 0) <= floor * c.live_scale as fault,
    c.place
from compiled c
where c.run = run_of(b) and c.live_difference is not null and c.live_scale > 0 and c.purpose = 'forward'
order by fault desc, subject
