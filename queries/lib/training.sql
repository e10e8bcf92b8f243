-- What a run meant to train, and what it moved.

-- The capture from which training of b's model is judged: its first `start`, in a watched run; else the first capture of the pair.
CREATE OR REPLACE MACRO began(a, b) AS coalesce((
    SELECT min_by(captures.capture, captures.sequence) FROM captures
    WHERE captures.run = run_of(b) AND captures.model = model_of(b) AND captures.point = 'start' AND captures.whole IS DISTINCT FROM false
), capture_of(a));

-- From where to where each model is judged: of a watched run every model that was trained, from its first `start` to its last live
-- capture, and the model of b to b itself; else the pair.
CREATE OR REPLACE MACRO spans(a, b) AS TABLE
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model, capture_of(a) AS a_, capture_of(b) AS b_, watched(b) AS watched),
own AS (
    SELECT c.model, min_by(c.capture, c.sequence) FILTER (c.point = 'start') AS started,
        max_by(c.capture, c.sequence) FILTER (c.source = 'live' AND c.updates > 0) AS ended
    FROM captures c JOIN k ON c.run = k.run AND k.watched WHERE c.whole IS DISTINCT FROM false GROUP BY c.model
)
SELECT own.model, own.started AS x, CASE WHEN own.model = k.model THEN k.b_ ELSE own.ended END AS y
FROM own, k WHERE own.started IS NOT NULL AND (own.model = k.model OR own.ended IS NOT NULL)
UNION ALL
SELECT k.model, k.a_, k.b_ FROM k WHERE NOT EXISTS (SELECT 1 FROM own WHERE own.model = k.model AND own.started IS NOT NULL);

-- Parameters that stand in both ends of a span. `trainable` at any `start`; NULL where nothing says so. `adapter`: that model has one.
-- Of a quantized weight `changed` speaks of its codes.
CREATE OR REPLACE MACRO moves(a, b) AS TABLE
WITH s AS MATERIALIZED (SELECT * FROM spans(a, b)),
starts AS (
    SELECT s.model, p.canonical, bool_or(p.trainable) AS trainable
    FROM placements p JOIN captures c ON c.capture = p.capture JOIN s ON c.run = run_of(b) AND c.model = s.model
    WHERE c.point = 'start' AND p.role <> 'optimizer' GROUP BY s.model, p.canonical
), x AS (
    SELECT s.model, p.canonical, any_value(p.digest) AS digest, any_value(p.trainable) AS trainable
    FROM placements p JOIN s ON p.capture = s.x WHERE p.role <> 'optimizer' GROUP BY s.model, p.canonical
), y AS (
    SELECT s.model, p.canonical, any_value(p.digest) AS digest, any_value(p.name) AS name, any_value(p.role) AS role,
        any_value(p.module) AS module, any_value(p.layer) AS layer, any_value(p.trainable) AS trainable,
        bool_or(adapter_role(any_value(p.role))) OVER (PARTITION BY s.model) AS adapter
    FROM placements p JOIN s ON p.capture = s.y WHERE p.role <> 'optimizer' GROUP BY s.model, p.canonical
)
SELECT y.model, y.name, y.canonical, y.role, y.module, y.layer, y.adapter, coalesce(starts.trainable, y.trainable, x.trainable) AS trainable,
    x.digest AS digest_a, y.digest AS digest_b, x.digest IS DISTINCT FROM y.digest AS changed
FROM y JOIN x USING (model, canonical) LEFT JOIN starts USING (model, canonical)
WHERE x.digest IS NOT NULL AND y.digest IS NOT NULL;

-- The same of the model that b means alone.
CREATE OR REPLACE MACRO own_moves(a, b) AS TABLE SELECT * FROM moves(a, b) WHERE model IS NOT DISTINCT FROM model_of(b);

-- Tensors that the program made itself, as a head is: those that came after their model was first seen, and, where most of a model is one
-- that a loader brought, those that no such model holds. Adapters aside.
CREATE OR REPLACE MACRO made(b) AS TABLE
WITH firsts AS MATERIALIZED (
    SELECT c.capture, c.model, EXISTS (FROM events e WHERE e.run = c.run AND e.model = c.model AND e.kind = 'load' AND e.detail->>'what' = 'model') AS brought
    FROM captures c WHERE c.run = run_of(b) AND c.point = 'loaded'
), brought AS MATERIALIZED (
    SELECT p.canonical, p.digest FROM placements p JOIN firsts USING (capture) WHERE firsts.brought
), paths AS (  -- of a.b.c: a.b.c, b.c, c
    SELECT firsts.model, p.canonical, p.digest, string_split(p.canonical, '.') AS parts,
        unnest([array_to_string(parts[i:], '.') FOR i IN range(1, len(parts) + 1)]) AS path
    FROM placements p JOIN firsts USING (capture) WHERE NOT firsts.brought AND NOT adapter_role(p.role)
), around AS (
    SELECT model, canonical, bool_or(path IN (SELECT canonical FROM brought) OR digest IN (SELECT digest FROM brought WHERE digest IS NOT NULL)) AS inside
    FROM paths GROUP BY model, canonical
)
SELECT model, canonical FROM around WHERE inside IS DISTINCT FROM true
    AND model IN (SELECT model FROM around GROUP BY model HAVING 2 * count(*) FILTER (inside) > count(*))
UNION
SELECT c.model, p.canonical FROM placements p JOIN captures c USING (capture) JOIN firsts USING (model)
WHERE c.run = run_of(b) AND c.point = 'start' AND NOT adapter_role(p.role) AND p.role <> 'optimizer'
    AND NOT EXISTS (FROM placements q WHERE q.capture = firsts.capture AND q.canonical = p.canonical);

-- Has the model that b means adapter tensors?
CREATE OR REPLACE MACRO has_adapter(b) AS (
    SELECT coalesce(bool_or(adapter_role(placements.role)), false) FROM placements WHERE placements.capture = capture_of(b)
);

-- The exceptions that ended a run's processes, and where they were raised.
CREATE OR REPLACE MACRO endings(b) AS TABLE
SELECT detail->>'exception' AS exception, place FROM events
WHERE run = run_of(b) AND kind = 'exit' AND detail->>'exception' IS NOT NULL;

-- Was the process that holds b's model killed? Nobody saw its end, and the program failed: one that leaves by os._exit(0) meant to end there.
CREATE OR REPLACE MACRO cut_off(b) AS (
    SELECT count(*) > 0
    FROM (SELECT unnest(from_json(runs.missing, '[{"what": "VARCHAR"}]')) AS gap FROM runs WHERE runs.run = run_of(b) AND runs.exit_status IS DISTINCT FROM 0) g
    JOIN models ON models.run = run_of(b) AND models.model = model_of(b) AND g.gap.what = 'the end of process ' || models.process
);

-- Did the run try to train: a gradient or an update, an error in a call for one; a function made for it counts where the program lived on.
CREATE OR REPLACE MACRO tries(b) AS trains(b) OR (
    SELECT coalesce(bool_or((events.kind IN ('grad', 'train', 'update') AND NOT EXISTS (FROM endings(b)) AND NOT cut_off(b))
        OR (events.kind = 'error' AND regexp_matches(events.detail->>'call', 'value_and_grad|mx.grad|Optimizer|mlx_lm.train'))), false)
    FROM events WHERE events.run = run_of(b)
);

-- What the program says that it means: rows of `adapters`, and the option --expect. strength strong: said in so many words.
CREATE OR REPLACE MACRO declared(b) AS TABLE
WITH k AS MATERIALIZED (SELECT run_of(b) AS run)
SELECT via, kind, rank, coalesce(scale, alpha / nullif(rank, 0)) AS scale, scale IS NULL AND alpha IS NOT NULL AS by_alpha, alpha,
    num_layers, from_json(keys, '["VARCHAR"]') AS keys, coalesce(strength, 'strong') AS strength, place
FROM adapters JOIN k USING (run) WHERE origin = 'declared'
UNION ALL
SELECT 'expect', expect, NULL, NULL, false, NULL, NULL, NULL, 'strong', NULL FROM runs JOIN k USING (run) WHERE expect IS NOT NULL;

-- What was meant, in one row: the option, else what was said in so many words, else what is imported. NULL: nothing says.
CREATE OR REPLACE MACRO meant(b) AS TABLE
WITH d AS MATERIALIZED (SELECT * FROM declared(b))
SELECT CASE WHEN count(*) FILTER (via = 'expect') > 0 THEN any_value(kind) FILTER (via = 'expect')
            WHEN bool_or(kind = 'full' AND strength = 'strong') THEN 'full'
            WHEN bool_or(strength = 'strong' AND kind IN ('lora', 'dora')) THEN max_by(kind, via = 'call') FILTER (strength = 'strong' AND kind IN ('lora', 'dora'))
            WHEN bool_or(strength = 'strong') THEN NULL  -- settings that say themselves that they are not in force
            ELSE any_value(kind) END AS kind,
    coalesce(bool_or(strength = 'strong'), false) AS said,
    string_agg(DISTINCT via, ', ' ORDER BY via) AS via, any_value(place ORDER BY strength, via) AS place,
    any_value(rank) AS rank, any_value(scale) AS scale
FROM d;

-- Models whose adapters all stand in another model that is judged, as those of a model within a wrapper do: they count there.
CREATE OR REPLACE MACRO enclosed(a, b) AS TABLE
WITH f AS MATERIALIZED (SELECT s.model, p.name, p.digest FROM placements p JOIN spans(a, b) s ON p.capture = s.y WHERE adapter_role(p.role))
SELECT f.model FROM f LEFT JOIN f o ON o.digest = f.digest AND o.model <> f.model AND ends_with(o.name, '.' || f.name)
GROUP BY f.model HAVING bool_and(o.name IS NOT NULL);

-- Adapted modules of a capture, by structure; `inside` is the path within a block.
CREATE OR REPLACE MACRO adapted(c) AS TABLE
SELECT canonical, any_value(module) AS module, any_value(class) AS class, any_value(layer) AS layer, max(rank) AS rank,
    max(scale) FILTER (rank IS NOT NULL) AS scale, max(adapters) AS adapters
FROM modules WHERE capture = c AND kind IN ('adapter', 'dora') GROUP BY canonical HAVING max(adapters) > 0;

-- The same of every model that was judged, at its end.
CREATE OR REPLACE MACRO adapted_at_end(a, b) AS TABLE
SELECT s.model, s.y AS capture, x.canonical, any_value(x.module) AS module, any_value(x.layer) AS layer, max(x.rank) AS rank,
    max(x.scale) FILTER (x.rank IS NOT NULL) AS scale, max(x.adapters) AS adapters
FROM modules x JOIN spans(a, b) s ON x.capture = s.y WHERE x.kind IN ('adapter', 'dora')
GROUP BY s.model, s.y, x.canonical HAVING max(x.adapters) > 0;

-- Does a module's path answer to a key: the same path, or its last parts?
CREATE OR REPLACE MACRO answers_to(path, key_) AS path = key_ OR ends_with(path, '.' || key_);
