-- Parameters that stand in both ends of a span. `trainable` at any `start`; NULL where nothing says so. `adapter`: that model has one.
-- Of a quantized weight `changed` speaks of its codes.
--
-- params: a, b
-- reads:  spans
WITH s AS MATERIALIZED (SELECT * FROM spans),
starts AS (
    SELECT s.model, p.canonical, bool_or(p.trainable) AS trainable
    FROM placements p JOIN captures c ON c.capture = p.capture JOIN s ON c.run = run_of(b) AND c.model = s.model
    WHERE c.point = 'start' AND p.role <> 'optimizer' GROUP BY s.model, p.canonical
), x AS (
    SELECT s.model, p.canonical, any_value(p.digest) AS digest, any_value(p.trainable) AS trainable
    FROM placements p JOIN s ON p.capture = s.x WHERE p.role <> 'optimizer' GROUP BY s.model, p.canonical
), y AS (
    SELECT s.model, p.canonical, any_value(p.digest) AS digest, any_value(p.name) AS name, any_value(p.role) AS role,
        any_value(p.module) AS module, any_value(p.layer) AS layer, any_value(p.trainable) AS trainable,
        bool_or(adapter_role(any_value(p.role))) OVER (PARTITION BY s.model) AS adapter
    FROM placements p JOIN s ON p.capture = s.y WHERE p.role <> 'optimizer' GROUP BY s.model, p.canonical
)
SELECT y.model, y.name, y.canonical, y.role, y.module, y.layer, y.adapter, coalesce(starts.trainable, y.trainable, x.trainable) AS trainable,
    x.digest AS digest_a, y.digest AS digest_b, x.digest IS DISTINCT FROM y.digest AS changed
FROM y JOIN x USING (model, canonical) LEFT JOIN starts USING (model, canonical)
WHERE x.digest IS NOT NULL AND y.digest IS NOT NULL
