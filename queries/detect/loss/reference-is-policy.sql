-- A preference loss compares the model with itself.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-constant, loss-not-decreasing, gradients-zero, parameters-unchanged, output-unchanged,
-- generation-collapse
-- claim:      Reference and policy give equal logits, to the bit, at {observed}: the reference is the
-- model that is trained.
-- clean:      the reference of the preference loss (equal to the policy at {observed})
-- rules out:  learning-rate-zero
-- needs:      steps, every_step
-- reads:      taught
-- nothing:    a loss that pulls some rows up and pushes others down
-- params:     a, b
-- fix:        keep a frozen copy: reference = load(base) or copy.deepcopy(policy) before training, then
-- reference.freeze(); or compute its log-probabilities before the first update
-- harmless:   equal logits at the first step, when nothing is trained yet; log-probabilities of samples
-- that the policy drew for the step, taken before it
-- fires on:   zoo/anchor-functions, zoo/anchor-class
-- silent on:  zoo/healthy-preference, zoo/healthy-preference-precomputed
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    lines as (
        select process, step, forward, line, sum(weight) as pull
        from taught
        group by process, step, forward, line
    ),
    paired_ as (
        select process, step from lines group by process, step having bool_or(pull > 0) and bool_or(pull < 0)
    ),
    later as (
        select s.step, s.equal_forwards, s.update_norm
        from steps s
        join k on s.run = k.run and s.model = k.model
        join paired_ p on p.process = s.process and p.step = s.step
        where
            -- of its own samples, before they are learned from
            not (
                s.equal_forwards > 0
                and s.equal_forwards = coalesce(s.equal_outside, 0)
                and coalesce(s.drawn_rows, 0) > 0
            )
    ),
    sums as (
        select
            count(*) filter (step > 1) as n,
            count(*) filter (step > 1 and equal_forwards > 0) as equal,
            bool_or(update_norm > 0) as moves_
        from later
    )
select
    'the preference loss' as subject,
    equal || ' of ' || n || ' recorded steps after the first' as observed,
    '0: the reference stays where the policy began' as expected,
    equal = n and coalesce(moves_, true) as fault,
    loss_place(b) as place
from sums
where n > 0
order by subject
