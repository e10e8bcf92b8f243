-- Captures of a run, each held against what training moved: how many of these tensors it has, how many as after training, as before it.
-- `base_moved`: tensors that training left alone and that differ here (a fused or another base).
--
-- params: a, b
-- reads:  own_moves
WITH k AS MATERIALIZED (SELECT run_of(b) AS run), m AS MATERIALIZED (SELECT * FROM own_moves), total AS (SELECT count(*) FILTER (changed) AS n FROM m),
p AS MATERIALIZED (
    SELECT c.capture, p.canonical, any_value(p.digest) AS digest
    FROM captures c JOIN k ON c.run = k.run JOIN placements p ON p.capture = c.capture
    WHERE p.role IS DISTINCT FROM 'optimizer' AND p.digest IS NOT NULL GROUP BY c.capture, p.canonical
)
SELECT c.capture, c.model, c.point, c.source, c.sequence, total.n AS moved, count(p.canonical) FILTER (m.changed) AS present,
    count(*) FILTER (m.changed AND p.digest = m.digest_b) AS after, count(*) FILTER (m.changed AND p.digest = m.digest_a) AS before,
    count(*) FILTER (NOT m.changed AND NOT adapter_role(m.role) AND p.digest <> m.digest_b) AS base_moved,
    count(p.canonical) FILTER (NOT m.changed AND NOT adapter_role(m.role)) AS base
FROM captures c JOIN k ON c.run = k.run CROSS JOIN total LEFT JOIN p ON p.capture = c.capture LEFT JOIN m ON m.canonical = p.canonical
GROUP BY c.capture, c.model, c.point, c.source, c.sequence, total.n
