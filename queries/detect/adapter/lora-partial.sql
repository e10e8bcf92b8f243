-- The adapter is not the declared one: other layers, other targets, another kind.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   adapter-incomplete, adapter-not-loaded, reload-mismatch
-- claim:      The adapter is not the declared one: {subject}: {observed}, declared {expected}.
-- clean:      the adapted layers ({observed})
-- needs:      parameters
-- reads:      adapted_at_end, declared, own_moves
-- nothing:    an adapter whose layers, targets or kind are declared
-- fix:        {fix_}
-- harmless:   some layers or targets alone, where the declaration says the same
-- fires on:   zoo/partial-loop, zoo/partial-classes, zoo/partial-api
-- silent on:  zoo/healthy-step-0, zoo/healthy-dora, zoo/healthy-rank-1
WITH there AS MATERIALIZED (SELECT * FROM adapted_at_end WHERE model IS NOT DISTINCT FROM model_of(b)),
depth AS (SELECT count(DISTINCT layer) AS n FROM modules WHERE capture = capture_of(b) AND layer IS NOT NULL),
said AS MATERIALIZED (
    SELECT *, CASE WHEN num_layers IS NULL OR num_layers <= 0 OR num_layers >= depth.n THEN depth.n ELSE num_layers END AS layers
    FROM declared, depth WHERE strength = 'strong' AND kind IN ('lora', 'dora') AND via <> 'expect'
), ignored AS (
    SELECT string_agg(DISTINCT word, ', ') AS words, any_value(place) AS place
    FROM (SELECT unnest(from_json(detail->'unknown', '["VARCHAR"]')) AS word, place FROM events WHERE run = run_of(b) AND kind = 'convert')
), layers AS (
    SELECT coalesce(list(DISTINCT layer ORDER BY layer), []) AS have, string_agg(DISTINCT layer::VARCHAR, ', ' ORDER BY layer::VARCHAR) AS names
    FROM there WHERE layer IS NOT NULL
), named AS (SELECT list(DISTINCT key_) AS keys FROM (SELECT unnest(keys) AS key_ FROM said)),
named_there AS MATERIALIZED (
    SELECT x.layer, x.kind, list_bool_or(list_transform(named.keys, lambda k: answers_to(x.canonical, k))) AS hit
    FROM modules x, named WHERE x.capture = capture_of(b)
), could AS MATERIALIZED (  -- blocks that hold a layer of the declared kind: in a model of mixed blocks not all do
    SELECT DISTINCT n.layer FROM named_there n, (SELECT coalesce(bool_or(hit), false) AS hit FROM named_there) AS whole
    WHERE n.layer IS NOT NULL AND n.kind IN ('linear', 'quantized', 'switch', 'embedding', 'adapter', 'dora') AND (n.hit OR NOT whole.hit)
), by_layer AS (  -- a declaration that the program holds counts where none of them agrees; what is saved must agree itself
    SELECT said.via, said.layers, said.place, layers.have = (
            SELECT coalesce(list(could.layer ORDER BY could.layer), []) FROM could WHERE could.layer >= depth.n - said.layers) AS agrees
    FROM said, layers, depth WHERE said.num_layers IS NOT NULL AND len(layers.have) > 0
), known AS (  -- keys that name a module of this model; a list for many architectures holds others, which are passed over
    SELECT coalesce(list(DISTINCT k.key_), []) AS keys FROM (SELECT unnest(keys) AS key_ FROM named) k
    WHERE EXISTS (FROM modules x WHERE x.capture = capture_of(b) AND answers_to(x.canonical, k.key_))
), paths AS MATERIALIZED (SELECT list(canonical ORDER BY canonical) AS paths FROM there),
keys AS MATERIALIZED (
    SELECT DISTINCT via, place, list_filter(said.keys, lambda k: list_contains(known.keys, k) OR len(known.keys) = 0) AS keys,
        list_filter(said.keys, lambda k: list_bool_or(list_transform(paths, lambda p: answers_to(p, k)))) AS found,
        list_filter(paths, lambda p: NOT list_bool_or(list_transform(said.keys, lambda k: answers_to(p, k)))) AS more
    FROM said, paths, known WHERE len(said.keys) > 0 AND NOT list_has_any(said.keys, ['all-linear', 'auto', 'all'])
), by_key AS (
    SELECT *, len(found) = len(keys) AND len(more) = 0 AS agrees FROM keys WHERE EXISTS (FROM there)
), option AS (  -- what --expect says of an adapter that was trained
    SELECT any_value(expect) AS expect, (SELECT count(*) > 0 FROM modules WHERE capture = capture_of(b) AND kind = 'dora') AS dora,
        (SELECT any_value(place) FROM events WHERE run = run_of(b) AND kind = 'convert') AS place
    FROM runs WHERE run = run_of(b) AND expect IS NOT NULL AND EXISTS (FROM own_moves WHERE changed AND adapter_role(role))
), verdicts AS (
    SELECT 'layers' AS subject, len(layers.have) || ' of ' || depth.n || ' blocks (' || layers.names || ')' AS observed,
        'the last ' || v.layers || ' blocks' AS expected, v.via, v.agrees, v.place FROM by_layer v, layers, depth
    UNION ALL
    SELECT 'targets', CASE WHEN len(more) > 0 THEN len(more) || ' adapted layers more, among them ' || more[1]
            WHEN len(found) = 0 THEN 'none of the declared is adapted'
            ELSE 'adapted are only ' || array_to_string(found, ', ') END, array_to_string(keys, ', '), via, agrees, place FROM by_key
    UNION ALL
    SELECT 'kind', if(dora, 'DoRA', 'LoRA') || ' on ' || (SELECT count(*) FROM there) || ' layers',
        CASE expect WHEN 'lora' THEN 'LoRA' WHEN 'dora' THEN 'DoRA' WHEN 'full' THEN 'no adapter (full)' ELSE 'no adapter (none)' END,
        'expect', expect = if(dora, 'dora', 'lora'), place FROM option WHERE expect IS NOT NULL
), judged AS (
    SELECT *, bool_or(agrees) OVER (PARTITION BY subject, via IN ('saved-config')) AS one_agrees FROM verdicts
)
SELECT subject, CASE WHEN agrees THEN (SELECT count(*) FROM there) || ' adapted layers' ELSE observed END AS observed, expected,
    NOT agrees AND NOT one_agrees AND (via <> 'call' OR NOT EXISTS (SELECT 1 FROM judged j WHERE j.subject = judged.subject AND j.agrees)) AS fault,
    via, coalesce(judged.place, ignored.place) AS place,
    CASE WHEN subject = 'kind' THEN 'train what --expect says, or say what is meant: --expect lora, dora, full or none'
         WHEN ignored.words IS NOT NULL THEN 'linear_to_lora_layers reads rank, scale, dropout and keys; it ignored ' || ignored.words || ': pass the targets as "keys"'
         WHEN subject = 'layers' THEN 'convert the layers that the configuration says: linear_to_lora_layers(model, num_layers, config) counts from the end, 0 and below mean all'
         ELSE 'pass the same keys to linear_to_lora_layers and to adapter_config.json' END AS fix_
FROM judged, ignored
ORDER BY fault DESC, subject, via
