-- The base weights under the adapter are no longer the base's.
--
-- severity:   error
-- role:       consequence
-- confidence: certain
-- explains:   wrong-base, reload-mismatch
-- claim:      {observed} of the base are not as they were; {why}.
-- clean:      the base weights ({observed})
-- needs:      parameters
-- reads:      made, meant, moves, meant_free
-- nothing:    an adapter, there or meant; a run that was meant to train nothing (--expect none)
-- fix:        load the base again from where it came, and {fix_}
-- fires on:   zoo/unfrozen-loop, zoo/missing-classes
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
WITH m AS MATERIALIZED (SELECT * FROM meant),
t AS (
    SELECT count(*) AS n, count(*) FILTER (changed) AS moved, count(DISTINCT layer) FILTER (changed) AS layers
    FROM moves moves ANTI JOIN made made ON made.model IS NOT DISTINCT FROM moves.model AND made.canonical = moves.canonical, m
    WHERE NOT adapter_role(role) AND NOT EXISTS (FROM meant_free f WHERE f.model IS NOT DISTINCT FROM moves.model AND f.canonical = moves.canonical)
        AND (adapter OR (m.kind IN ('lora', 'dora') AND tries(b) AND NOT EXISTS (FROM moves o WHERE o.adapter AND adapter_role(o.role)))
            OR (m.kind = 'none' AND trains(b)))  -- where another model of the run has the adapter, it was meant for that one
)
SELECT 'base weights' AS subject,
    t.moved || ' of ' || t.n || ' tensors' || CASE WHEN t.layers > 0 THEN ' in ' || t.layers || ' blocks' ELSE '' END AS observed,
    '0 of ' || t.n || ' tensors' AS expected, t.moved > 0 AS fault,
    CASE WHEN m.kind = 'none' THEN 'nothing was meant to be trained' ELSE 'an adapter leaves them alone' END AS why,
    CASE WHEN m.kind = 'none' THEN 'leave the training out, or say what is meant: --expect lora, dora or full' ELSE 'train the adapter alone' END AS fix_
FROM t, m WHERE t.n > 0
ORDER BY subject
