-- Parameters changed their type during training.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch
-- claim:      {n} of {looked} tensors are {observed}; {expected}.
-- clean:      the types of the parameters (the same, {looked:tensor|tensors})
-- needs:      parameters
-- reads:      moves
-- nothing:    floating-point parameters
-- fix:        keep gradients in the parameters' type: a float32 array (a norm, a scale, a rate) that multiplies a 16-bit gradient makes it float32; use a Python float, or .astype(g.dtype)
-- harmless:   a conversion by set_dtype, or between two models at rest, is told as info
-- fires on:   zoo/drift-half, zoo/drift-full
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
WITH c AS (SELECT count(*) AS n, any_value(place) AS place FROM events WHERE run = run_of(b) AND kind = 'write' AND detail->>'via' = 'Module.set_dtype')
SELECT m.name AS subject, y.dtype AS observed, 'they were ' || x.dtype AS expected, x.dtype <> y.dtype AS fault,
    CASE WHEN NOT watched(b) OR c.n > 0 OR NOT coalesce(m.trainable, false) THEN 'info' ELSE 'error' END AS severity,
    coalesce(c.place, (SELECT any_value(place) FROM events WHERE run = run_of(b) AND kind = 'update')) AS place
FROM moves m JOIN tensors x ON x.digest = m.digest_a JOIN tensors y ON y.digest = m.digest_b, c
WHERE x.dtype IN ('F32', 'F16', 'BF16') AND y.dtype IN ('F32', 'F16', 'BF16')
ORDER BY fault DESC, subject
