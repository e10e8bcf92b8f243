-- What a run meant to train, and what it moved.

-- The capture from which training of b's model is judged: its first `start`, in a watched run; else the
-- first capture of the pair.
CREATE OR REPLACE MACRO began(a, b) AS coalesce((
    SELECT min_by(captures.capture, captures.sequence) FROM captures
    WHERE captures.run = run_of(b) AND captures.model = model_of(b) AND captures.point = 'start'
        AND captures.whole IS DISTINCT FROM false
), capture_of(a));

-- Has the model that b means adapter tensors?
CREATE OR REPLACE MACRO has_adapter(b) AS (
    SELECT coalesce(bool_or(adapter_role(placements.role)), false) FROM placements
    WHERE placements.capture = capture_of(b)
);

-- The exceptions that ended a run's processes, and where they were raised.
CREATE OR REPLACE MACRO endings(b) AS TABLE
SELECT detail->>'exception' AS exception, place FROM events
WHERE run = run_of(b) AND kind = 'exit' AND detail->>'exception' IS NOT NULL;

-- Was the process that holds b's model killed? Nobody saw its end, and the program failed: one that
-- leaves by os._exit(0) meant to end there.
CREATE OR REPLACE MACRO cut_off(b) AS (
    SELECT count(*) > 0
    FROM (
        SELECT unnest(from_json(runs.missing, '[{"kind": "VARCHAR", "process": "INTEGER"}]')) AS gap
        FROM runs WHERE runs.run = run_of(b) AND runs.exit_status IS DISTINCT FROM 0
    ) g
    JOIN models ON models.run = run_of(b) AND models.model = model_of(b)
        AND g.gap.kind = 'process-end' AND g.gap.process = models.process
);

-- Did the run try to train: a gradient or an update, an error in a call for one; a function made for it
-- counts where the program lived on.
CREATE OR REPLACE MACRO tries(b) AS trains(b) OR (
    SELECT coalesce(bool_or(
        (events.kind IN ('grad', 'train', 'update') AND NOT EXISTS (FROM endings(b)) AND NOT cut_off(b))
        OR (events.kind = 'error'
            AND regexp_matches(events.detail->>'call', 'value_and_grad|mx.grad|Optimizer|mlx_lm.train'))
    ), false)
    FROM events WHERE events.run = run_of(b)
);

-- Adapted modules of a capture, by structure; `inside` is the path within a block.
CREATE OR REPLACE MACRO adapted(c) AS TABLE
SELECT canonical, any_value(module) AS module, any_value(class) AS class, any_value(layer) AS layer,
    max(rank) AS rank, max(scale) FILTER (rank IS NOT NULL) AS scale, max(adapters) AS adapters
FROM modules WHERE capture = c AND kind IN ('adapter', 'dora') GROUP BY canonical HAVING max(adapters) > 0;

-- Where the program puts its adapter in.
CREATE OR REPLACE MACRO convert_place(b) AS (
    SELECT coalesce(
        min_by(events.place, events.sequence) FILTER (events.model = model_of(b)),
        min_by(events.place, events.sequence))
    FROM events WHERE events.run = run_of(b) AND events.kind = 'convert'
);

-- Does a module's path answer to a key: the same path, or its last parts?
CREATE OR REPLACE MACRO answers_to(path, key_) AS path = key_ OR ends_with(path, '.' || key_);

-- Do two equal forwards of a generation's model differ in evaluation mode as well? Where that was not
-- asked: a model that is in evaluation mode differs from its evaluation by what its repeats differ by.
CREATE OR REPLACE MACRO random_in_evaluation(repeat_, evaluated_, evaluated_again, floor_) AS
    coalesce(evaluated_again > floor_, repeat_ > floor_ AND evaluated_ = repeat_, false);

-- Who says what a run meant, in words: `via` of a declaration.
CREATE OR REPLACE MACRO said_by(via) AS CASE via
    WHEN 'argument' THEN 'a setting of the program' WHEN 'call' THEN 'the call that converts'
    WHEN 'config-file' THEN 'a configuration file' WHEN 'import' THEN 'an import'
    WHEN 'saved-config' THEN 'the saved adapter_config.json' WHEN 'expect' THEN '--expect' ELSE via END;
