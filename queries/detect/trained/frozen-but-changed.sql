-- Parameters outside the trainable set moved.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, base-weights-overwritten, reload-mismatch, unexplained-change, adapter-incomplete
-- claim:      {n} of {looked} frozen tensors moved; first {subject}. {how}.
-- clean:      the frozen weights (none of {looked} moved)
-- rules out:  base-not-frozen
-- needs:      parameters, trainable
-- reads:      moves
-- nothing:    parameters outside the trainable set
-- fix:        {fix_}
-- fires on:   zoo/frozen-moved-loop, zoo/frozen-moved-handmade, zoo/frozen-moved-pipeline
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
WITH acts AS (
    SELECT e.model, any_value(e.place) FILTER (e.kind = 'grad' AND (e.detail->>'frozen_leaves')::INTEGER > 0) AS grad,
        any_value(e.detail->>'via') FILTER (e.kind = 'grad' AND (e.detail->>'frozen_leaves')::INTEGER > 0) AS grad_via,
        any_value(e.place) FILTER (e.kind = 'update' AND (e.detail->>'frozen_leaves')::INTEGER > 0) AS updated,
        any_value(e.place) FILTER (e.kind = 'write' AND (e.detail->>'frozen_leaves')::INTEGER > 0) AS written,
        any_value(e.detail->>'via') FILTER (e.kind = 'write' AND (e.detail->>'frozen_leaves')::INTEGER > 0) AS write_via
    FROM events e WHERE e.run = run_of(b) GROUP BY e.model
)
SELECT m.name AS subject, CASE WHEN m.changed THEN 'moved' ELSE 'as at the start' END AS observed, 'as at the start' AS expected,
    m.changed AND (acts.grad IS NOT NULL OR acts.updated IS NOT NULL OR acts.written IS NOT NULL) AS fault,
    coalesce(acts.grad, acts.updated, acts.written) AS place,
    CASE WHEN acts.grad IS NOT NULL THEN acts.grad_via || ' differentiates every array of the module, frozen or not'
         WHEN acts.updated IS NOT NULL THEN 'the optimizer was handed gradients of frozen tensors'
         WHEN acts.written IS NOT NULL THEN acts.write_via || ' wrote frozen tensors' ELSE 'No recorded call moved them' END AS how,
    CASE WHEN acts.grad IS NOT NULL THEN 'use nn.value_and_grad(model, loss): ' || acts.grad_via || ' differentiates frozen arrays too, and freeze() holds only for trainable_parameters()'
         WHEN acts.updated IS NOT NULL THEN 'hand the optimizer the gradients of model.trainable_parameters() alone, as nn.value_and_grad gives them'
         ELSE 'write only what model.trainable_parameters() holds' END AS fix_
FROM moves m LEFT JOIN acts USING (model)
WHERE NOT m.trainable
ORDER BY fault DESC, m.changed DESC, subject
