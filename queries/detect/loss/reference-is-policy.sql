-- A preference loss compares the model with itself.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-constant, loss-not-decreasing, gradients-zero, parameters-unchanged, output-unchanged, generation-collapse
-- claim:      Reference and policy give equal logits, to the bit, at {observed}: the reference is the model that is trained.
-- clean:      the reference of the preference loss (equal to the policy at {observed})
-- rules out:  learning-rate-zero
-- needs:      steps
-- reads:      taught
-- nothing:    a loss that pulls some rows up and pushes others down
-- fix:        keep a frozen copy: reference = load(base) or copy.deepcopy(policy) before training, then reference.freeze(); or compute its log-probabilities before the first update
-- harmless:   equal logits at the first step, when nothing is trained yet; log-probabilities of samples that the policy drew for the step, taken before it
-- fires on:   zoo/anchor-functions, zoo/anchor-class
-- silent on:  zoo/healthy-preference, zoo/healthy-preference-precomputed
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model), lines AS (
    SELECT process, step, forward, line, sum(weight) AS pull FROM taught GROUP BY process, step, forward, line
), paired_ AS (
    SELECT process, step FROM lines GROUP BY process, step HAVING bool_or(pull > 0) AND bool_or(pull < 0)
), later AS (
    SELECT s.step, s.equal_forwards, s.update_norm FROM steps s JOIN k ON s.run = k.run AND s.model = k.model JOIN paired_ p ON p.process = s.process AND p.step = s.step
    WHERE NOT (s.equal_forwards > 0 AND s.equal_forwards = coalesce(s.equal_outside, 0)  -- of its own samples, before they are learned from
        AND (EXISTS (FROM generations g WHERE g.run = s.run AND g.process = s.process AND g.model = s.model AND g.updates = s.step - 1)
            OR coalesce(s.outside_forwards > 2 * s.forwards, false)))  -- drawn by a loop of its own: more looks than a reference takes
), sums AS (
    SELECT count(*) FILTER (step > 1) AS n, count(*) FILTER (step > 1 AND equal_forwards > 0) AS equal, bool_or(update_norm > 0) AS moves_ FROM later
)
SELECT 'the preference loss' AS subject, equal || ' of ' || n || ' recorded steps after the first' AS observed, '0: the reference stays where the policy began' AS expected,
    equal = n AND coalesce(moves_, true) AS fault, loss_place(b) AS place
FROM sums WHERE n > 0
ORDER BY subject
