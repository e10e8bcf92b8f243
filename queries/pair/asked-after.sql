-- Generations after training began, each with the state that it used. `used`: trained | saved (as in a file that the program wrote) | start | part |
-- other base | base alone.
--
-- params: a, b
-- reads:  held_against, learned_values
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model),
began_ AS (SELECT min(e.sequence) AS first FROM events e JOIN k ON e.run = k.run AND e.model = k.model WHERE e.kind IN ('update', 'write')),
main AS (SELECT any_value(m.updates) AS updates FROM models m JOIN k ON m.run = k.run AND m.model = k.model),
written AS (
    SELECT DISTINCT capture FROM (
        SELECT h.capture FROM held_against h JOIN placements p ON p.capture = h.capture JOIN learned_values l ON l.canonical = p.canonical
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
LEFT JOIN models m ON m.run = g.run AND m.model = g.model LEFT JOIN held_against h ON h.capture = g.capture LEFT JOIN written w ON w.capture = g.capture
    LEFT JOIN again o ON o.capture = g.capture
WHERE e.sequence > began_.first AND (g.model <> k.model OR g.updates = main.updates)
