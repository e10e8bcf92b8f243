-- A compiled forward answers with weights that the model no longer has.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   score-dropped, output-unchanged, loss-constant, loss-not-decreasing
-- claim:      A compiled forward {observed}: it holds the weights of its trace.
-- clean:      compiled forwards (they agree with the model: {observed})
-- rules out:  dropout-in-generation, compile-state-not-captured
-- needs:      compiled
-- nothing:    a compiled forward that was compared with the model, or has its weights built in
-- params:     a, b, floor = logit_noise()
-- numbers:    floor - of the largest output, see logit_noise()
-- fix:        compile it with the model's state: mx.compile(forward, inputs=model.state), and compile
-- anew after load_weights or a change of layers
-- fires on:   zoo/forward-functions, zoo/forward-class
-- silent on:  zoo/healthy-sampling, zoo/healthy-dropout-in-training
with
    each as (
        select
            *,
            coalesce(
                live_scale > 0
                and live_difference > floor * live_scale
                and coalesce(repeat_difference, 0) <= floor * live_scale,
                false
            ) as differs
        from compiled
        where
            run = run_of(b)
            and (
                (purpose = 'forward' and live_difference is not null and live_scale > 0)
                or updates_behind is not null
            )
    )
select
    coalesce(c.place, 'function ' || c.function) as subject,
    case
        when c.differs
        then
            printf(
                'differs from the model itself by %.3g (logits reach %.3g) on equal arguments',
                c.live_difference,
                c.live_scale
            )
        when c.updates_behind > 0
        then
            printf(
                'was traced with parameters as constants and called again after %s, by which its answers did not '
                || 'change (%s, %s)',
                counted(c.updates_behind, 'further update'),
                counted(c.calls, 'call'),
                counted(c.traces, 'trace')
            )
        when c.live_difference is null
        then 'with parameters as constants, never called after an update'
        else printf('within %.3g (logits reach %.3g)', c.live_difference, c.live_scale)
    end as observed,
    'the model''s own output, within rounding' as expected,
    c.differs or coalesce(c.updates_behind > 0, false) as fault,
    c.place
from each c
order by fault desc, subject
