-- Training changed the weights out of proportion.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   weights-not-finite, loss-not-decreasing, generation-collapse
-- claim:      {subject}: {observed}; {expected}.
-- clean:      the size of the update ({observed})
-- needs:      parameters
-- reads:      adapted_at_end, moves, spans
-- nothing:    trained weights whose change was measured
-- fix:        lower the learning rate (1e-5 to 2e-4 for an adapter's Adam is common), warm it up, and divide the adapter's scale by the factor by which its rank or alpha grew
-- fires on:   zoo/large-loop, zoo/large-full
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
WITH e AS MATERIALIZED (SELECT * FROM spans),
w AS (  -- norms of the layers that adapters stand on; of a quantized one about what its scales and number of codes give
    SELECT e.model, p.module, max(p.l2) FILTER (p.leaf = 'weight') AS plain, max(p.l2) FILTER (p.role = 'scales') AS scales,
        max(regexp_replace(p.canonical, '\.[^.]*$', '')) AS canonical,
        any_value((x.attributes->>'bits')::INTEGER) AS bits, any_value((x.attributes->>'group_size')::INTEGER) AS width
    FROM parameters p JOIN e ON p.capture = e.y LEFT JOIN modules x ON x.capture = p.capture AND x.module = p.module
    WHERE NOT adapter_role(p.role) GROUP BY e.model, p.module
), f AS (
    SELECT e.model, p.module, max(p.l2) FILTER (p.role = 'lora_a') AS a_, max(p.l2) FILTER (p.role = 'lora_b') AS b_
    FROM parameters p JOIN e ON p.capture = e.y WHERE p.role IN ('lora_a', 'lora_b') GROUP BY e.model, p.module
), adapters_ AS (  -- a product of factors that know nothing of each other has their norms over the root of the rank
    SELECT f.model, x.canonical AS name, x.scale * f.a_ * f.b_ / sqrt(x.rank)
            / nullif(CASE WHEN w.scales IS NULL THEN w.plain ELSE (2 ** coalesce(w.bits, 4) - 1) / 5.0 * w.scales * sqrt(coalesce(w.width, 64)) END, 0) AS size
    FROM f JOIN adapted_at_end x ON x.module = f.module AND x.model IS NOT DISTINCT FROM f.model
    JOIN w ON w.canonical = x.canonical AND w.model IS NOT DISTINCT FROM f.model
    WHERE x.scale IS NOT NULL
), plain_ AS (
    SELECT m.model, m.name, d.relative AS size FROM moves m JOIN deltas d ON d.digest_a = m.digest_a AND d.digest_b = m.digest_b
    WHERE m.changed AND NOT adapter_role(m.role) AND m.role IN ('base', 'embedding', 'head') AND d.relative IS NOT NULL
), every AS (SELECT * FROM adapters_ WHERE size IS NOT NULL UNION ALL SELECT * FROM plain_),
l AS (
    SELECT model, min_by(loss, step) AS first, avg(loss) FILTER (step > 0.75 * n) AS last, min(step) FILTER (nonfinite > 0 OR isnan(loss) OR isnan(update_norm)) AS broke
    FROM (SELECT *, max(step) OVER (PARTITION BY model) AS n FROM steps WHERE run = run_of(b)) GROUP BY model
), before AS (  -- finite updates as large as the parameters themselves, and then no number any more
    SELECT s.model, max(s.update_norm / nullif(s.parameter_norm, 0)) AS most, min_by(s.step, -s.update_norm / nullif(s.parameter_norm, 0)) AS step
    FROM steps s JOIN l USING (model) WHERE s.run = run_of(b) AND l.broke IS NOT NULL AND s.step < l.broke AND NOT isnan(s.update_norm) GROUP BY s.model
), middle AS (SELECT model, median(size) AS size, arg_max(name, size) AS name, max(size) AS most, count(*) AS n FROM every WHERE isfinite(size) GROUP BY model)
SELECT m.name AS subject,
    'the update is ' || CASE WHEN m.size < 0.01 THEN 'under 0.01' WHEN m.size < 100 THEN round(m.size, 2)::VARCHAR ELSE printf('%.3g', m.size) END || ' times the weight, in the middle of ' || m.n || ' layers' AS observed,
    CASE WHEN l.first IS NULL THEN 'an adaptation is well below 1' ELSE 'the loss went from ' || round(l.first, 2) || ' to ' || round(l.last, 2) END AS expected,
    m.size > 30 OR (m.size > 2 AND coalesce(l.last > l.first, false)) AS fault,
    (SELECT any_value(place) FROM events WHERE run = run_of(b) AND kind = 'update') AS place
FROM middle m LEFT JOIN l ON l.model IS NOT DISTINCT FROM m.model
UNION ALL
SELECT 'update ' || before.step, 'its norm is ' || round(before.most, 1) || ' times that of the parameters', 'step ' || l.broke || ' is not finite any more',
    before.most > 1, (SELECT any_value(place) FROM events WHERE run = run_of(b) AND kind = 'update')
FROM before JOIN l USING (model) WHERE before.most IS NOT NULL
ORDER BY fault DESC, subject
