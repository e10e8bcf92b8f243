-- Every gradient was exactly zero.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   parameters-unchanged, output-unchanged, lora-inert, loss-constant, loss-not-decreasing, saved-untrained, uniform-decay, term-detached
-- claim:      The gradient was exactly zero at each of {observed} updates: the loss does not depend on the model.
-- clean:      the gradients (largest norm {norm})
-- needs:      steps
-- reads:      stillness
-- nothing:    an update whose gradient was measured
-- fix:        {fix_}
-- fires on:   zoo/gradient-loop, zoo/gradient-classes
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
SELECT 'gradient' AS subject, s.measured AS observed, 'a norm above 0' AS expected, s.cause IS NOT DISTINCT FROM 'gradients-zero' AS fault, s.gradient AS norm,
    s.grad_place AS place,
    CASE WHEN coalesce(s.forwards, 0) = 0
        THEN 'call the model inside the function that nn.value_and_grad differentiates; outputs that were computed before it, stop_gradient, or values that went through numpy or .item() are constants to it'
        ELSE 'the loss gives no token a weight: check its mask' END AS fix_
FROM stillness s WHERE s.measured > 0
ORDER BY subject
