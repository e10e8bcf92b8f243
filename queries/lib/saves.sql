-- What the program wrote.

-- Saves of the model that b means (its own arrays, or arrays of nobody), each held against what training moved, by what lies on disk, else by what
-- was handed over. `updates`: of that model at the time; `total`: at the end.
CREATE OR REPLACE MACRO saves_held(a, b) AS TABLE
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model), m AS MATERIALIZED (SELECT * FROM own_moves(a, b)),
total AS (SELECT count(*) FILTER (changed) AS moved FROM m), main AS (SELECT any_value(x.updates) AS updates FROM models x JOIN k USING (run, model))
SELECT s.process, s.save, any_value(s.file) AS file, any_value(s.model) AS model, any_value(s.place) AS place, any_value(s.updates) AS updates,
    any_value(main.updates) AS total, count(s.name) AS names, any_value(total.moved) AS moved, count(m.canonical) FILTER (m.changed) AS present,
    count(*) FILTER (m.changed AND coalesce(s.digest_on_disk, s.digest) = m.digest_b) AS after,
    count(*) FILTER (m.changed AND coalesce(s.digest_on_disk, s.digest) = m.digest_a) AS before
FROM saved_tensors s JOIN k ON s.run = k.run CROSS JOIN total CROSS JOIN main LEFT JOIN m ON m.canonical = s.canonical
WHERE s.model IS NULL OR s.model = k.model
GROUP BY s.process, s.save;

-- Loads of an adapter's file into a model, by the program or by our own reload: how its names met the model's.
CREATE OR REPLACE MACRO adapter_loads(b) AS TABLE
SELECT e.sequence, e.model, e.place, e.detail->>'via' AS via, (e.detail->>'names')::INTEGER AS names, (e.detail->>'matched')::INTEGER AS matched,
    (e.detail->>'unexpected')::INTEGER AS unexpected, (e.detail->>'absent')::INTEGER AS absent
FROM events e WHERE e.run = run_of(b) AND e.kind = 'load' AND e.detail->>'what' IN ('adapter', 'weights') AND coalesce((e.detail->>'from_adapter')::BOOLEAN, e.detail->>'what' = 'adapter');

-- The share of the trained adapter's update in each capture with fused weights, over all its layers, by the energy of the update.
CREATE OR REPLACE MACRO fused_shares(b) AS TABLE
SELECT f.capture_fused, sum(f.k * f.intended_l2 * f.intended_l2) / sum(f.intended_l2 * f.intended_l2) AS k, bool_or(f.quantized) AS quantized, count(*) AS layers
FROM fusions f JOIN captures c ON c.capture = f.capture_fused
WHERE (c.run = run_of(b) OR f.capture_fused = capture_of(b)) AND f.intended_l2 > 0 AND isfinite(f.k) GROUP BY f.capture_fused;

-- Where the program fuses.
CREATE OR REPLACE MACRO fuse_place(b) AS (
    SELECT min_by(events.place, events.sequence) FROM events WHERE events.run = run_of(b) AND events.kind = 'fuse'
);
