-- Parameters moved where nothing that was seen moves them.
--
-- severity:   error
-- role:       cause
-- confidence: probable
-- explains:   base-weights-overwritten, reload-mismatch, wrong-base, generation-collapse
-- claim:      {n:tensor|tensors} outside the trainable set moved, and no update or write that was seen touches them: {subject} {observed}.
-- clean:      changes outside the trainable set ({looked:tensor|tensors} looked at)
-- rules out:  base-not-frozen, frozen-but-changed
-- needs:      parameters, trainable
-- reads:      meant_free, moves
-- nothing:    tensors outside the trainable set
-- fix:        look for assignments in place (weight[...] = ..., weight += ...) between {from_} and {to_}; a frozen tensor is not to be written
-- harmless:   running statistics of a layer; weights merged into while their adapter begins anew; weights that were put back
-- fires on:   zoo/in-place-row, zoo/in-place-norm
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-continued
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model), touched AS (
    SELECT coalesce(bool_or((e.detail->>'frozen_leaves')::INTEGER > 0), false) AS any_
    FROM events e JOIN k ON e.run = k.run AND e.model = k.model WHERE e.kind IN ('update', 'write')
), loads AS (SELECT count(*) AS n FROM events e JOIN k ON e.run = k.run AND e.model = k.model WHERE e.kind IN ('load', 'fuse', 'convert') AND e.detail->>'via' IS DISTINCT FROM 'reload' AND e.sequence > (
    SELECT min(x.sequence) FROM events x JOIN k ON x.run = k.run AND x.model = k.model WHERE x.kind = 'update'))
SELECT m.name AS subject, CASE WHEN m.changed THEN 'moved' || coalesce(printf(' by at most %.3g', d.max_abs), '') ELSE 'is as it was' END AS observed,
    'as it was' AS expected, m.changed AND NOT touched.any_ AND loads.n = 0 AS fault, began(a, b) AS from_, capture_of(b) AS to_
FROM moves m LEFT JOIN deltas d ON d.digest_a = m.digest_a AND d.digest_b = m.digest_b, touched, loads
WHERE NOT m.trainable AND NOT EXISTS (FROM meant_free f WHERE f.model IS NOT DISTINCT FROM m.model AND f.canonical = m.canonical)
ORDER BY fault DESC, subject
