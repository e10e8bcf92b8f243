-- The adapter's scale in force is not the declared one.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, update-too-large, fused-twice, fuse-lost-update
-- claim:      The adapter works with scale {observed}, {expected}.
-- clean:      the adapter's scale ({observed}, {expected})
-- needs:      parameters
-- reads:      adapted_at_end, declared
-- nothing:    an adapter whose scale is declared or seen again after a reload
-- fix:        {fix_}
-- fires on:   zoo/scale-classes, zoo/scale-loop, zoo/scale-mixed
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mlp-last-layer
WITH there AS MATERIALIZED (
    SELECT scale, rank, count(*) AS n, min(canonical) AS first FROM adapted_at_end WHERE scale IS NOT NULL GROUP BY scale, rank
), said AS MATERIALIZED (
    SELECT DISTINCT via, scale, by_alpha, alpha, rank, place FROM declared
    WHERE strength = 'strong' AND kind IN ('lora', 'dora') AND scale IS NOT NULL
), compared AS (
    SELECT said.via, there.first AS subject, there.scale AS observed, said.scale AS expected, by_alpha, alpha, said.rank, place,
        abs(there.scale - said.scale) <= 1e-5 * abs(said.scale)
        OR (by_alpha AND abs(there.scale - alpha / sqrt(said.rank)) <= 1e-5 * abs(there.scale)) AS agrees
    FROM there, said
), judged AS (
    SELECT *, bool_or(agrees) OVER (PARTITION BY via = 'saved-config', subject) AS one_agrees FROM compared
), again AS (  -- the same layer in training and after the reload
    SELECT x.canonical AS subject, x.scale AS observed, y.scale AS expected
    FROM adapted_at_end x
    JOIN captures c ON c.run = run_of(b) AND c.model = x.model AND c.point = 'reloaded'
    JOIN modules y ON y.capture = c.capture AND y.canonical = x.canonical AND y.rank IS NOT NULL
    WHERE x.scale IS NOT NULL AND y.scale IS NOT NULL AND watched(b)
        AND c.sequence = (SELECT max(z.sequence) FROM captures z WHERE z.run = c.run AND z.model = c.model AND z.point = 'reloaded')
)
SELECT subject, observed::VARCHAR AS observed,
    CASE WHEN by_alpha THEN expected || ' is declared: alpha ' || alpha || ' / rank ' || rank ELSE expected || ' is declared' END || ' (' || via || ')' AS expected,
    NOT agrees AND NOT one_agrees AND via <> 'call' AS fault, place,
    CASE WHEN by_alpha THEN 'pass scale = alpha / rank: mlx-lm multiplies by scale itself and knows no alpha'
         WHEN via = 'saved-config' THEN 'write the scale in force into adapter_config.json: {"lora_parameters": {"scale": ...}}'
         ELSE 'pass the declared scale to the conversion; LoRALinear.from_base takes 20 where none is given' END AS fix_
FROM judged
UNION ALL
SELECT min(subject), observed::VARCHAR, expected || ' after the reload', abs(observed - expected) > 1e-5 * abs(expected), NULL,
    'write the scale in force into adapter_config.json: {"lora_parameters": {"scale": ...}}'
FROM again GROUP BY observed, expected
ORDER BY fault DESC, subject, expected
