-- An adapter was meant, none was put in.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   base-weights-overwritten, full-weights-trained, nothing-trainable, save-failed, adapter-not-loaded, reload-mismatch
-- claim:      {expected} was meant ({via}), and the trained model has no adapter: {observed}.
-- clean:      a missing adapter ({observed})
-- rules out:  lora-target-unmatched, error-swallowed, adapter-not-loaded
-- needs:      run
-- reads:      declared, meant, stillness
-- nothing:    nothing says that an adapter was meant
-- fix:        call linear_to_lora_layers(model, num_layers, {{"rank": ..., "scale": ..., "dropout": 0.0}}) after model.freeze() and before the optimizer's first update, and check that tree_flatten(model.trainable_parameters()) holds lora_a
-- harmless:   a full fine-tune on purpose: say so by --expect full, or fine_tune_type "full"
-- fires on:   zoo/missing-classes, zoo/missing-loop, zoo/missing-pipeline
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
WITH m AS MATERIALIZED (SELECT * FROM meant),
p AS MATERIALIZED (
    SELECT count(*) AS n, count(*) FILTER (adapter_role(role)) AS adapter, count(*) FILTER (trainable AND NOT adapter_role(role)) AS trained
    FROM placements WHERE capture = coalesce(at_point(b, 'start'), capture_of(b)) AND role <> 'optimizer'
), later AS (SELECT has_adapter(b) AS there),
left_ AS (  -- where training never began, what `freeze` left is known better than by a capture before it
    SELECT any_value(trainables) AS trainables FROM stillness
), tried AS (
    SELECT count(*) AS n FROM events WHERE run = run_of(b) AND kind = 'convert'
), keyed AS (  -- keys that name no module are another fault
    SELECT count(*) AS n, count(*) FILTER (EXISTS (
        SELECT 1 FROM modules x WHERE x.capture = capture_of(b) AND answers_to(x.canonical, k.key_))) AS answered
    FROM (SELECT DISTINCT unnest(keys) AS key_ FROM declared WHERE strength = 'strong') k
)
SELECT 'adapter' AS subject,
    CASE WHEN p.adapter > 0 OR later.there THEN p.adapter || ' adapter tensors'
         WHEN least(p.trained, left_.trainables) > 0 THEN least(p.trained, left_.trainables) || ' of ' || p.n || ' base tensors are trained' ELSE 'nothing is left to train' END AS observed,
    if(m.kind = 'dora', 'DoRA', 'LoRA') || coalesce(' of rank ' || m.rank, '') AS expected,
    m.via, p.adapter = 0 AND NOT later.there AND tried.n = 0 AND (keyed.n = 0 OR keyed.answered > 0) AS fault,
    CASE WHEN m.said THEN 'certain' ELSE 'probable' END AS confidence,
    CASE WHEN regexp_matches(m.place, ':[0-9]+$') THEN m.place ELSE coalesce(t.place, m.place) END AS place  -- else where training begins
FROM m, p, later, tried, keyed, left_, (SELECT min_by(place, sequence) AS place FROM events WHERE run = run_of(b) AND kind IN ('grad', 'train')) t
WHERE m.kind IN ('lora', 'dora') AND tries(b) AND p.n > 0
ORDER BY subject
