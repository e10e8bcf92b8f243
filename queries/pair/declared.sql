-- What the program says that it means: rows of `adapters`, and the option --expect. strength strong: said in so many words.
--
-- params: b
WITH k AS MATERIALIZED (SELECT run_of(b) AS run)
SELECT via, kind, rank, coalesce(scale, alpha / nullif(rank, 0)) AS scale, scale IS NULL AND alpha IS NOT NULL AS by_alpha, alpha,
    num_layers, from_json(keys, '["VARCHAR"]') AS keys, coalesce(strength, 'strong') AS strength, place
FROM adapters JOIN k USING (run) WHERE origin = 'declared'
UNION ALL
SELECT 'expect', expect, NULL, NULL, false, NULL, NULL, NULL, 'strong', NULL FROM runs JOIN k USING (run) WHERE expect IS NOT NULL
