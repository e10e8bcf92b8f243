-- Refs as text to what they stand for. `refs` holds every capture's ref, every run's name (with its `end` or
-- last capture), and every text that the user typed. Parameters are named r, so that no column shadows them.

-- The capture that a ref stands for; NULL where it is a run that holds none. An unknown one is an error:
-- it would seem to hold nothing.
CREATE OR REPLACE MACRO capture_of(r) AS (
    SELECT CASE WHEN count(*) = 0 AND r IS NOT NULL THEN error('There is no run or capture ' || r || '.')
        ELSE any_value(refs.capture) END
    FROM refs WHERE refs.ref = r
);

-- The run that a ref belongs to; an error where it is unknown.
CREATE OR REPLACE MACRO run_of(r) AS (
    SELECT CASE WHEN count(*) = 0 AND r IS NOT NULL THEN error('There is no run or capture ' || r || '.')
        ELSE any_value(refs.run) END
    FROM refs WHERE refs.ref = r
);

-- The model (m0, m1, ...) of the capture that a ref stands for.
CREATE OR REPLACE MACRO model_of(r) AS (
    SELECT any_value(captures.model) FROM captures JOIN refs ON refs.capture = captures.capture
    WHERE refs.ref = r
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

-- The last capture of a point (`start`, `end`, `saved`, `reloaded` ...) of a ref's run and model; NULL
-- where it did not happen.
CREATE OR REPLACE MACRO at_point(r, p) AS (
    SELECT max_by(captures.capture, captures.sequence) FROM captures
    WHERE captures.run = run_of(r) AND captures.model = model_of(r) AND captures.point = p
        AND captures.whole IS DISTINCT FROM false
);

-- The place of the capture of a ref in the order of its run.
CREATE OR REPLACE MACRO sequence_of(r) AS (
    SELECT any_value(captures.sequence) FROM captures JOIN refs ON refs.capture = captures.capture
    WHERE refs.ref = r
);

-- The capture whose probes answer for a ref: its own, or those of an equal state of the same object.
CREATE OR REPLACE MACRO probes_at(r) AS (
    SELECT any_value(coalesce(captures.probes_of, captures.capture))
    FROM captures JOIN refs ON refs.capture = captures.capture WHERE refs.ref = r
);

-- Does a ref's run train anything: a gradient or an update of any model?
CREATE OR REPLACE MACRO trains(r) AS (
    SELECT coalesce(bool_or(coalesce(models.gradients, 0) > 0 OR coalesce(models.updates, 0) > 0), false)
    FROM models WHERE models.run = run_of(r)
);

-- Was a ref's run watched?
CREATE OR REPLACE MACRO watched(r) AS (
    SELECT coalesce(bool_or(runs.kind = 'watched'), false) FROM runs WHERE runs.run = run_of(r)
);

-- What is not there of a run that a ref stands for: its own tables, captures that it had when it was
-- sealed, rows that the disk cut short.
CREATE OR REPLACE MACRO parts_gone(r) AS TABLE
SELECT one.gap.what || ': ' || one.gap.why AS gap
FROM (
    SELECT unnest(from_json(missing, '[{"what": "VARCHAR", "why": "VARCHAR", "kind": "VARCHAR"}]')) AS gap
    FROM runs WHERE run = run_of(r)
) one
WHERE one.gap.kind IN ('run', 'capture', 'rows', 'save');

-- Was what a ref stands for read from files? They say nothing of classes, modes and optimizers.
CREATE OR REPLACE MACRO from_file(r) AS (
    SELECT coalesce(bool_or(captures.source = 'file'), false)
    FROM captures JOIN refs ON refs.capture = captures.capture WHERE refs.ref = r
);

-- Is a role that of a tensor which an adapter owns?
CREATE OR REPLACE MACRO adapter_role(r) AS (r IN ('lora_a', 'lora_b', 'dora_m'));

