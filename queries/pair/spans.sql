-- From where to where each model is judged: of a watched run every model that was trained, from its first `start` to its last live
-- capture, and the model of b to b itself; else the pair.
--
-- params: a, b
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model, capture_of(a) AS a_, capture_of(b) AS b_, watched(b) AS watched),
own AS (
    SELECT c.model, min_by(c.capture, c.sequence) FILTER (c.point = 'start') AS started,
        max_by(c.capture, c.sequence) FILTER (c.source = 'live' AND c.updates > 0) AS ended
    FROM captures c JOIN k ON c.run = k.run AND k.watched WHERE c.whole IS DISTINCT FROM false GROUP BY c.model
)
SELECT own.model, own.started AS x, CASE WHEN own.model = k.model THEN k.b_ ELSE own.ended END AS y
FROM own, k WHERE own.started IS NOT NULL AND (own.model = k.model OR own.ended IS NOT NULL)
UNION ALL
SELECT k.model, k.a_, k.b_ FROM k WHERE NOT EXISTS (SELECT 1 FROM own WHERE own.model = k.model AND own.started IS NOT NULL)
