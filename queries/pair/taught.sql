-- Positions of the kept steps with what their row is. `beyond`: padding after the first pad of the row (mlx-lm's own loss trains that
-- first one), or before the row, with the pad as its target: where a mask token stands for a text, the text is. `closes`: the end of an answer, not that of a prompt. Rows that are no cross-entropy carry NULL as weight.
--
-- params: b
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model)
SELECT t.process, t.step, t.forward, t."row" AS line, t.position, t.role, t.relation, t.mass, coalesce(isinf(t.residual), false) AS unreadable,
    CASE WHEN t.residual <= 0.05 AND isfinite(t.weight) THEN t.weight END AS weight,
    r.width, r.first_pad, r.at_cap, r.ends_with_end, r.framed, r.row_digest, r.prompt_tokens,
    t.role = 'pad' AND coalesce(t.position + 1 > r.first_pad, true) AND t.relation IS DISTINCT FROM 'other' AS beyond,
    t.role = 'end' AND lag(t.role, 1, t.role) OVER (PARTITION BY t.process, t.step, t.forward, t."row" ORDER BY t.position) <> 'prompt' AS closes
FROM loss_tokens t JOIN k ON t.run = k.run AND t.model = k.model
LEFT JOIN batch_rows r ON r.run = t.run AND r.process = t.process AND r.model = t.model AND r.step = t.step AND r.forward = t.forward AND r."row" = t."row"
