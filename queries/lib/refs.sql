-- Refs as text to what they stand for. `refs` holds every capture's ref, every run's name (with its `end` or last capture),
-- and every text that the user typed. Parameters are named r, so that no column shadows them.

-- The capture that a ref stands for; NULL where it is a run that holds none. An unknown one is an error: it would seem to hold nothing.
CREATE OR REPLACE MACRO capture_of(r) AS (
    SELECT CASE WHEN count(*) = 0 AND r IS NOT NULL THEN error('There is no run or capture ' || r || '.') ELSE any_value(refs.capture) END FROM refs WHERE refs.ref = r
);

-- The run that a ref belongs to; an error where it is unknown.
CREATE OR REPLACE MACRO run_of(r) AS (
    SELECT CASE WHEN count(*) = 0 AND r IS NOT NULL THEN error('There is no run or capture ' || r || '.') ELSE any_value(refs.run) END FROM refs WHERE refs.ref = r
);

-- The model (m0, m1, ...) of the capture that a ref stands for.
CREATE OR REPLACE MACRO model_of(r) AS (
    SELECT any_value(captures.model) FROM captures JOIN refs ON refs.capture = captures.capture WHERE refs.ref = r
);

-- The first whole capture of a ref's run, of the model that the ref means.
CREATE OR REPLACE MACRO first_of(r) AS (
    SELECT min_by(captures.capture, captures.sequence) FROM captures
    WHERE captures.run = run_of(r) AND captures.model = model_of(r) AND captures.whole IS DISTINCT FROM false
);
-- The last whole capture of a ref's run, of the model that the ref means.
CREATE OR REPLACE MACRO last_of(r) AS (
    SELECT max_by(captures.capture, captures.sequence) FROM captures
    WHERE captures.run = run_of(r) AND captures.model = model_of(r) AND captures.whole IS DISTINCT FROM false
);

-- The last capture of a point (`start`, `end`, `saved`, `reloaded` ...) of a ref's run and model; NULL where it did not happen.
CREATE OR REPLACE MACRO at_point(r, p) AS (
    SELECT max_by(captures.capture, captures.sequence) FROM captures
    WHERE captures.run = run_of(r) AND captures.model = model_of(r) AND captures.point = p AND captures.whole IS DISTINCT FROM false
);

-- The place of the capture of a ref in the order of its run.
CREATE OR REPLACE MACRO sequence_of(r) AS (
    SELECT any_value(captures.sequence) FROM captures JOIN refs ON refs.capture = captures.capture WHERE refs.ref = r
);

-- The capture whose probes answer for a ref: its own, or those of an equal state of the same object.
CREATE OR REPLACE MACRO probes_at(r) AS (
    SELECT any_value(coalesce(captures.probes_of, captures.capture)) FROM captures JOIN refs ON refs.capture = captures.capture
    WHERE refs.ref = r
);

-- Does a ref's run train anything: a gradient or an update of any model?
CREATE OR REPLACE MACRO trains(r) AS (
    SELECT coalesce(bool_or(coalesce(models.gradients, 0) > 0 OR coalesce(models.updates, 0) > 0), false)
    FROM models WHERE models.run = run_of(r)
);

-- Was a ref's run watched?
CREATE OR REPLACE MACRO watched(r) AS (SELECT coalesce(bool_or(runs.kind = 'watched'), false) FROM runs WHERE runs.run = run_of(r));

-- Was what a ref stands for read from files? They say nothing of classes, modes and optimizers.
CREATE OR REPLACE MACRO from_file(r) AS (
    SELECT coalesce(bool_or(captures.source = 'file'), false) FROM captures JOIN refs ON refs.capture = captures.capture WHERE refs.ref = r
);

-- Is a role that of a tensor which an adapter owns?
CREATE OR REPLACE MACRO adapter_role(r) AS (r IN ('lora_a', 'lora_b', 'dora_m'));

-- Parameters of two captures side by side by canonical name, tied twins once: name_a or name_b is NULL where one has none.
-- `key_a` and `key_b` are digests as values, under which `deltas` are found: the value digest where there is one, else the digest.
CREATE OR REPLACE MACRO paired(a, b) AS TABLE
WITH x AS (
    SELECT canonical, any_value(name ORDER BY shared_with IS NOT NULL, name) AS name,
        any_value(p.role ORDER BY shared_with IS NOT NULL, name) AS role, any_value(p.layer) AS layer, any_value(p.module) AS module,
        any_value(p.digest ORDER BY shared_with IS NOT NULL, name) AS digest, any_value(p.value_digest) AS value_digest,
        any_value(p.dtype) AS dtype, any_value(p.shape) AS shape, any_value(p.trainable) AS trainable
    FROM parameters p WHERE p.capture = capture_of(a) AND p.role IS DISTINCT FROM 'optimizer' GROUP BY canonical
), y AS (
    SELECT canonical, any_value(name ORDER BY shared_with IS NOT NULL, name) AS name,
        any_value(p.role ORDER BY shared_with IS NOT NULL, name) AS role, any_value(p.layer) AS layer, any_value(p.module) AS module,
        any_value(p.digest ORDER BY shared_with IS NOT NULL, name) AS digest, any_value(p.value_digest) AS value_digest,
        any_value(p.dtype) AS dtype, any_value(p.shape) AS shape, any_value(p.trainable) AS trainable
    FROM parameters p WHERE p.capture = capture_of(b) AND p.role IS DISTINCT FROM 'optimizer' GROUP BY canonical
)
SELECT coalesce(x.canonical, y.canonical) AS canonical, x.name AS name_a, y.name AS name_b, coalesce(y.role, x.role) AS role,
    coalesce(y.layer, x.layer) AS layer, coalesce(y.module, x.module) AS module,
    x.dtype AS dtype_a, y.dtype AS dtype_b, x.shape AS shape_a, y.shape AS shape_b, x.digest AS digest_a, y.digest AS digest_b,
    x.value_digest AS value_digest_a, y.value_digest AS value_digest_b,
    coalesce(x.value_digest, x.digest) AS key_a, coalesce(y.value_digest, y.digest) AS key_b, x.trainable AS trainable_a, y.trainable AS trainable_b,
    CASE WHEN x.name IS NULL THEN 'added' WHEN y.name IS NULL THEN 'removed'
         WHEN x.digest IS NULL OR y.digest IS NULL THEN 'unknown'
         WHEN coalesce(x.value_digest, x.digest) = coalesce(y.value_digest, y.digest) THEN 'identical' ELSE 'changed' END AS status
FROM x FULL JOIN y ON x.canonical = y.canonical;
