-- What generation used.

-- Parameters that training moved, by canonical name, with their value after it; adapter tensors among them.
CREATE OR REPLACE MACRO learned_values(a, b) AS TABLE
SELECT canonical, role, digest_a AS before, digest_b AS after FROM own_moves(a, b) WHERE changed;

-- Captures of a run, each held against what training moved: how many of these tensors it has, how many as after training, as before it.
-- `base_moved`: tensors that training left alone and that differ here (a fused or another base).
CREATE OR REPLACE MACRO held_against(a, b) AS TABLE
WITH k AS MATERIALIZED (SELECT run_of(b) AS run), m AS MATERIALIZED (SELECT * FROM own_moves(a, b)), total AS (SELECT count(*) FILTER (changed) AS n FROM m),
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
GROUP BY c.capture, c.model, c.point, c.source, c.sequence, total.n;

-- Generations after training began, each with the state that it used. `used`: trained | saved (as in a file that the program wrote) | start | part |
-- other base | base alone.
CREATE OR REPLACE MACRO asked_after(a, b) AS TABLE
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model),
began_ AS (SELECT min(e.sequence) AS first FROM events e JOIN k ON e.run = k.run AND e.model = k.model WHERE e.kind IN ('update', 'write')),
main AS (SELECT any_value(m.updates) AS updates FROM models m JOIN k ON m.run = k.run AND m.model = k.model),
written AS (
    SELECT DISTINCT capture FROM (
        SELECT h.capture FROM held_against(a, b) h JOIN placements p ON p.capture = h.capture JOIN learned_values(a, b) l ON l.canonical = p.canonical
        JOIN saved_tensors s ON s.canonical = p.canonical AND s.digest = p.digest JOIN k ON s.run = k.run
        WHERE h.before < h.present GROUP BY h.capture, h.present, s.process, s.save HAVING count(*) = h.present)
), again AS (  -- tensors of our base in another form, unpacked, with equal values
    SELECT q.capture, count(DISTINCT q.canonical) AS n
    FROM generations g JOIN k ON g.run = k.run JOIN placements q ON q.capture = g.capture
    JOIN placements p ON p.capture = capture_of(b) AND p.canonical = q.canonical AND p.digest <> q.digest
    JOIN deltas d ON d.digest_a = coalesce(p.value_digest, p.digest) AND d.digest_b = coalesce(q.value_digest, q.digest) AND d.max_abs = 0
    GROUP BY q.capture
)
SELECT g.*, m.saves AS saves_of, m.copied_from, h.moved, h.present, h.after, h.before, h.base_moved, e.place AS asked_at,
    CASE WHEN h.moved > 0 AND h.present = h.moved AND h.after = h.moved THEN 'trained' WHEN w.capture IS NOT NULL THEN 'saved'
         WHEN h.present = 0 AND h.base_moved > coalesce(o.n, 0) THEN 'other base' WHEN h.present = 0 THEN 'base alone'
         WHEN h.before = h.present THEN 'start' ELSE 'part' END AS used
FROM generations g JOIN k ON g.run = k.run CROSS JOIN began_ CROSS JOIN main
JOIN events e ON e.run = g.run AND e.kind = 'generate' AND (e.detail->>'generation')::INTEGER = g.generation AND e.process = g.process
LEFT JOIN models m ON m.run = g.run AND m.model = g.model LEFT JOIN held_against(a, b) h ON h.capture = g.capture LEFT JOIN written w ON w.capture = g.capture
    LEFT JOIN again o ON o.capture = g.capture
WHERE e.sequence > began_.first AND (g.model <> k.model OR g.updates = main.updates);
