-- Saves of the model that b means (its own arrays, or arrays of nobody), each held against what training moved, by what lies on disk, else by what
-- was handed over. `updates`: of that model at the time; `total`: at the end.
--
-- params: a, b
-- reads:  own_moves
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model), m AS MATERIALIZED (SELECT * FROM own_moves),
total AS (SELECT count(*) FILTER (changed) AS moved FROM m), main AS (SELECT any_value(x.updates) AS updates FROM models x JOIN k USING (run, model))
SELECT s.process, s.save, any_value(s.file) AS file, any_value(s.model) AS model, any_value(s.place) AS place, any_value(s.updates) AS updates,
    any_value(main.updates) AS total, count(s.name) AS names, any_value(total.moved) AS moved, count(m.canonical) FILTER (m.changed) AS present,
    count(*) FILTER (m.changed AND coalesce(s.digest_on_disk, s.digest) = m.digest_b) AS after,
    count(*) FILTER (m.changed AND coalesce(s.digest_on_disk, s.digest) = m.digest_a) AS before
FROM saved_tensors s JOIN k ON s.run = k.run CROSS JOIN total CROSS JOIN main LEFT JOIN m ON m.canonical = s.canonical
WHERE s.model IS NULL OR s.model = k.model
GROUP BY s.process, s.save
