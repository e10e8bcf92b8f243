-- Facts that detectors need. Each macro gives one row: `gap` is NULL where the fact is there, else its
-- kind, what is needed, in words, and how to capture it where that is worth saying.
-- unwatched: files alone do not say it. absent: it did not happen. unseen: it happened and was not seen.
-- not-applicable: it cannot be here.
-- What is unseen of a fact that decides (judge/verdict.py) stands against `healthy`.

CREATE OR REPLACE MACRO gap(k, words, how := '') AS {'kind': k, 'needs': words, 'how': how};

-- Parameters of both captures, by digest.
CREATE OR REPLACE MACRO need_parameters(a, b) AS TABLE
WITH counted AS (
    SELECT count(*) FILTER (capture = capture_of(a)) AS before,
        count(*) FILTER (capture = capture_of(b)) AS after
    FROM placements WHERE digest IS NOT NULL OR error IS NOT NULL
)
SELECT CASE WHEN before = 0 AND after = 0 THEN gap('unseen', 'the parameters of a model')
            WHEN before = 0 THEN gap('unseen', 'the parameters of ' || a)
            WHEN after = 0 THEN gap('unseen', 'the parameters of ' || b) END AS gap
FROM counted;

-- Where b's run trained the model: its state after the last update. An `end` that updates followed is not
-- that state, and of a program that was killed nobody knows which update was the last. What was seen of the
-- whole run says nothing of a state in the midst of it.
CREATE OR REPLACE MACRO need_end(a, b) AS TABLE
WITH ended AS (
    SELECT any_value(c.capture) AS capture, any_value(c.updates) AS updates
    FROM captures c WHERE c.capture = at_point(b, 'end')
), main AS (
    SELECT any_value(m.updates) AS updates FROM models m WHERE m.run = run_of(b) AND m.model = model_of(b)
)
SELECT CASE WHEN cut_off(b) THEN gap('unseen', 'the model after the last update: its process was killed')
            WHEN watched(b) AND main.updates > CASE WHEN ended.capture IS NULL THEN 0 ELSE ended.updates END
            THEN gap('unseen', 'the model after the last update')
            WHEN watched(b) AND sequence_of(b) < sequence_of(ended.capture)
            THEN gap('unseen', 'the model after the last update, which came after ' || b) END AS gap
FROM ended, main;

-- A run that was watched, not files at rest.
CREATE OR REPLACE MACRO need_run(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched', 'a watched run: forensics capture -- COMMAND') END AS gap;

-- A load of an adapter: in a watched run, or of files at rest that were put on their base.
CREATE OR REPLACE MACRO need_adapter_on_base(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            AND NOT EXISTS (FROM events WHERE run = run_of(b) AND kind = 'load' AND detail->>'via' = 'file')
            THEN gap('unwatched',
                'an adapter on its base (diagnose BASE ADAPTER), or a watched run: forensics capture -- COMMAND')
            END AS gap;

-- The trainable set of the model that b means.
CREATE OR REPLACE MACRO need_trainable(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched', 'the trainable set, from a watched run: forensics capture -- COMMAND')
            WHEN NOT trains(b) AND NOT EXISTS (
                SELECT 1 FROM placements p JOIN captures c ON c.capture = p.capture
                WHERE c.run = run_of(b) AND c.model = model_of(b) AND p.trainable IS NOT NULL)
            THEN gap('not-applicable', 'the run trains nothing')
            WHEN NOT EXISTS (
                SELECT 1 FROM placements p JOIN captures c ON c.capture = p.capture
                WHERE c.run = run_of(b) AND c.model = model_of(b) AND p.trainable IS NOT NULL)
            THEN gap('unseen', 'the trainable set of ' || b) END AS gap;

-- Update calls of the model that b means, be they none.
CREATE OR REPLACE MACRO need_updates(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched', 'the update calls, from a watched run: forensics capture -- COMMAND')
            WHEN NOT EXISTS (
                SELECT 1 FROM models m
                WHERE m.run = run_of(b) AND m.model = model_of(b) AND m.updates IS NOT NULL)
            THEN gap('unseen', 'the update calls of ' || b) END AS gap;

-- What the loss teaches at each position, from a loss that is a cross-entropy.
CREATE OR REPLACE MACRO need_loss_tokens(a, b) AS TABLE
WITH seen AS (
    SELECT
        count(*) AS n,
        -- by mass: the gradient of a position that is learned is rounding; at most all of it is unexplained,
        -- where what is read of a small gradient is larger than it
        coalesce(
            sum(least(residual, 1) * mass) FILTER (weight <> 0 AND isfinite(residual * mass))
            / nullif(sum(mass) FILTER (weight <> 0 AND isfinite(residual * mass)), 0),
            median(residual) FILTER (weight <> 0)
        ) AS residual
    FROM loss_tokens WHERE run = run_of(b) AND model = model_of(b)
), trained AS (
    SELECT coalesce(bool_or(gradients > 0), false) AS gradients,
        coalesce(bool_or(gradients IS NULL AND updates > 0), false) AS uncounted FROM models
    WHERE run = run_of(b) AND model = model_of(b)
), lost AS (
    SELECT coalesce(bool_or(list_contains(
        list_transform(from_json(missing, '[{"kind": "VARCHAR"}]'), lambda m: m.kind), 'loss'
    )), false) AS loss
    FROM runs WHERE run = run_of(b)
)
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched', 'the loss at its tokens, from a watched run: forensics capture -- COMMAND')
            WHEN NOT trained.gradients AND lost.loss
            THEN gap('unseen', 'the loss at its tokens, which could not be recorded',
                how := 'The capture says why: forensics show RUN.')
            WHEN trained.uncounted
            THEN gap('unseen', 'the loss at its tokens, which the version that recorded this did not keep',
                how := 'Capture the run again with this version.')
            WHEN NOT trained.gradients THEN gap('not-applicable', 'the run takes no gradient of this model')
            WHEN seen.n = 0 AND lost.loss
            THEN gap('unseen', 'the loss at its tokens, which could not be recorded',
                how := 'The capture says why: forensics show RUN.')
            WHEN seen.n = 0 AND EXISTS (
                FROM events
                WHERE run = run_of(b) AND model = model_of(b) AND kind = 'load' AND detail->>'what' = 'model')
            THEN gap('unseen',
                'the loss at its tokens: no logits of this language model were seen to carry its gradient')
            WHEN seen.n = 0
            THEN gap('not-applicable', 'the loss is not taken on the output of a language model''s forward')
            WHEN NOT is_cross_entropy(seen.residual)
            THEN gap('not-applicable', 'the loss is no cross-entropy') END AS gap
FROM seen, trained, lost;

-- The same probes answered at a and at b.
CREATE OR REPLACE MACRO need_probes(a, b) AS TABLE
WITH counted AS (
    SELECT count(*) FILTER (capture = probes_at(a)) AS before,
        count(*) FILTER (capture = probes_at(b)) AS after
    FROM transcripts WHERE source = 'probe' AND finish_reason IS DISTINCT FROM 'error'
)
SELECT CASE WHEN before = 0 OR after = 0 THEN gap('absent', 'the answers to probes at '
            || CASE WHEN before > 0 THEN b WHEN after > 0 THEN a ELSE a || ' and ' || b END,
            how := 'Capture with --prompts FILE: the tool asks them before and after training.') END AS gap
FROM counted;

-- A generation of the program's own.
CREATE OR REPLACE MACRO need_generations(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched',
                'a generation of the program, from a watched run: forensics capture -- COMMAND')
            WHEN NOT EXISTS (SELECT 1 FROM generations WHERE run = run_of(b))
            THEN gap('absent', 'the program generated nothing',
                how := 'Let the program generate an answer, or ask with --prompts FILE.') END AS gap;

-- A generation, or a model that was asked with and without the program's own cache.
CREATE OR REPLACE MACRO need_cache(a, b) AS TABLE
SELECT CASE WHEN EXISTS (SELECT 1 FROM selftests WHERE run = run_of(b) AND test = 'cache')
            THEN NULL ELSE gap END AS gap
FROM need_generations(a, b);

-- A file with tensors that the program wrote.
CREATE OR REPLACE MACRO need_saved(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched',
                'a file that the program saves, from a watched run: forensics capture -- COMMAND')
            WHEN NOT EXISTS (SELECT 1 FROM saved_tensors WHERE run = run_of(b))
             AND NOT EXISTS (SELECT 1 FROM captures WHERE run = run_of(b) AND point = 'saved')
             THEN gap('absent', 'nothing was saved',
                how := 'Nothing was saved. Where it should have been: let the program save before it ends.')
            END AS gap;

-- The tensors of what the program says that it saved.
CREATE OR REPLACE MACRO need_written(a, b) AS TABLE
SELECT CASE WHEN watched(b) AND NOT EXISTS (FROM saved_tensors WHERE run = run_of(b))
        AND EXISTS (FROM events WHERE run = run_of(b) AND kind = 'save' AND (detail->>'names')::INTEGER > 0)
    THEN gap('unseen', 'the tensors of what was saved') END AS gap;

-- The state that each generation of the program used.
CREATE OR REPLACE MACRO need_asked(a, b) AS TABLE
SELECT CASE WHEN watched(b) AND NOT EXISTS (FROM generations WHERE run = run_of(b))
        AND EXISTS (FROM events WHERE run = run_of(b) AND kind = 'generate')
    THEN gap('unseen', 'the generations of the program') END AS gap;

-- What was saved, loaded on its base in a fresh process.
CREATE OR REPLACE MACRO need_reloaded(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched',
                'a reload of what was saved, from a watched run: forensics capture -- COMMAND')
            WHEN NOT EXISTS (SELECT 1 FROM saved_tensors WHERE run = run_of(b))
            THEN gap('absent', 'nothing was saved',
                how := 'Nothing was saved. Where it should have been: let the program save before it ends.')
            WHEN EXISTS (SELECT 1 FROM captures WHERE run = run_of(b) AND point = 'reloaded') THEN NULL
            WHEN refusal IS NOT NULL
            THEN gap('unseen', 'a reload of what was saved, which failed in a fresh process: ' || refusal,
                how := 'Load what was saved in a fresh process, as whoever uses it will.')
            ELSE gap('unseen', 'a reload of what was saved (capture without --no-reload)',
                how := 'Let the program save its adapter or model, and capture without --no-reload.')
            END AS gap
FROM (
    SELECT arg_max(detail->>'message', sequence) AS refusal FROM events
    WHERE run = run_of(b) AND kind = 'load' AND detail->>'via' = 'reload' AND detail->>'ok' = 'false'
);

-- The differences of all parameters that differ between a and b.
CREATE OR REPLACE MACRO need_deltas(a, b) AS TABLE
WITH pairs AS (
    SELECT count(*) AS n, count(d.digest_a) AS measured
    FROM paired(a, b) p LEFT JOIN deltas d ON d.digest_a = p.key_a AND d.digest_b = p.key_b
    WHERE p.status = 'changed' AND p.shape_a = p.shape_b
)
SELECT CASE WHEN measured < n
            THEN gap('unseen', 'the differences of ' || (n - measured) || ' of ' || n
                || ' changed tensors (capture with --tensors all)') END AS gap
FROM pairs;

-- Loss, rate and norms by step.
CREATE OR REPLACE MACRO need_steps(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched', 'the steps of training, from a watched run: forensics capture -- COMMAND')
            WHEN NOT EXISTS (SELECT 1 FROM steps WHERE run = run_of(b) AND model = model_of(b))
            THEN CASE WHEN trains(b) THEN gap('unseen', 'the steps of this model')
                ELSE gap('not-applicable', 'the run trains nothing') END END AS gap;

-- Gradient and update norms by parameter.
CREATE OR REPLACE MACRO need_gradients(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched', 'gradients by parameter, from a watched run: forensics capture -- COMMAND')
            WHEN NOT EXISTS (SELECT 1 FROM gradients WHERE run = run_of(b) AND model = model_of(b))
            THEN CASE WHEN trains(b) THEN gap('unseen', 'gradients by parameter')
                ELSE gap('not-applicable', 'the run trains nothing') END END AS gap;

-- Functions that the program compiled.
CREATE OR REPLACE MACRO need_compiled(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched', 'the compiled functions, from a watched run: forensics capture -- COMMAND')
            WHEN NOT EXISTS (SELECT 1 FROM compiled WHERE run = run_of(b))
            THEN gap('absent', 'the program compiles nothing') END AS gap;

-- Next-token logits of the same probes at a and at b, compared.
CREATE OR REPLACE MACRO need_logits(a, b) AS TABLE
SELECT CASE WHEN probes_at(a) IS DISTINCT FROM probes_at(b)
    AND NOT EXISTS (
        SELECT 1 FROM probe_deltas
        WHERE capture_a = probes_at(a) AND capture_b = probes_at(b) AND logits_max_abs IS NOT NULL)
    AND NOT EXISTS (
        SELECT 1 FROM probe_deltas
        WHERE capture_a = capture_of(a) AND capture_b = capture_of(b) AND logits_max_abs IS NOT NULL)
    THEN gap('absent', 'the logits of probes at ' || a || ' and ' || b,
        how := 'Capture with --prompts FILE: the tool asks them before and after training.') END AS gap;

-- How much of an adapter is in weights into which it was fused.
CREATE OR REPLACE MACRO need_fusions(a, b) AS TABLE
SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM fusions) THEN gap('absent', 'nothing was fused') END AS gap;

-- Were rows of these files of the spool cut short, by a full disk? What is not in such a
-- file may have been in the rows that are gone.
CREATE OR REPLACE MACRO rows_gone(r, files) AS (
    SELECT coalesce(bool_or(one.gap.kind = 'rows' AND list_contains(files, one.gap."table")), false)
    FROM (
        SELECT unnest(from_json(missing, '[{"kind": "VARCHAR", "table": "VARCHAR"}]')) AS gap
        FROM runs WHERE run = run_of(r)
    ) one
);

-- All events of the run: for what is said to have happened never, or to have no cause.
CREATE OR REPLACE MACRO need_every_event(a, b) AS TABLE
SELECT CASE WHEN rows_gone(b, ['events'])
            THEN gap('unseen', 'all events of the run: rows of them are missing') END AS gap;

-- All steps: for what is said of each of them, or of the last.
CREATE OR REPLACE MACRO need_every_step(a, b) AS TABLE
SELECT CASE WHEN rows_gone(b, ['steps', 'gradients', 'weights', 'models'])
    THEN gap('unseen', 'all steps of training: rows of them are missing') END AS gap;

-- All training rows and what the loss taught in them: for what is said to be in none of them.
CREATE OR REPLACE MACRO need_every_row(a, b) AS TABLE
SELECT CASE WHEN rows_gone(b, ['rows', 'forwards', 'weights', 'datasets'])
    THEN gap('unseen', 'all training rows: some are missing') END AS gap;

-- What the model that b means said when it was asked about its own first batch, by one test.
CREATE OR REPLACE MACRO need_selftest(b, name) AS TABLE
WITH made AS (
    SELECT count(*) AS n, any_value(s.kind) AS kind, any_value(s.why) AS why
    FROM selftests s WHERE s.run = run_of(b) AND s.model = model_of(b) AND s.test = name
), told AS (
    SELECT coalesce(bool_or(c.value = '"off"'), false) AS off FROM configs c
    WHERE c.capture = run_of(b) AND c.key = 'forensics.selftest'
), trained AS (
    SELECT coalesce(bool_or(m.gradients > 0), false) AS gradients FROM models m
    WHERE m.run = run_of(b) AND m.model = model_of(b)
)
SELECT CASE WHEN NOT watched(b)
            THEN gap('unwatched',
                'the model on its first batch, from a watched run: forensics capture -- COMMAND')
            WHEN made.kind IS NOT NULL THEN gap(made.kind, made.why)
            WHEN made.n > 0 THEN NULL
            WHEN told.off THEN gap('unseen', 'the model on its first batch: --selftest off')
            WHEN NOT trained.gradients THEN gap('not-applicable', 'the run takes no gradient of this model')
            ELSE gap('not-applicable', 'no update of a model that answers rows of token ids was seen')
            END AS gap
FROM made, told, trained;

-- Whether outputs depend on the tokens after them.
CREATE OR REPLACE MACRO need_causality(a, b) AS TABLE SELECT gap FROM need_selftest(b, 'causality');

-- Whether the gradient is that of the loss.
CREATE OR REPLACE MACRO need_gradient_check(a, b) AS TABLE
SELECT CASE WHEN gap IS NULL OR gap.kind = 'unwatched' THEN gap
            WHEN EXISTS (
                FROM selftests WHERE run = run_of(b) AND model = model_of(b) AND test = 'backward'
                    AND kind IS NULL)
            THEN NULL
            WHEN NOT EXISTS (
                FROM selftests WHERE run = run_of(b) AND model = model_of(b) AND test = 'gradient')
            THEN gap('not-applicable', 'the loss is not called again without --selftest full',
                how := 'Capture with --selftest full.')
            ELSE gap END AS gap
FROM need_selftest(b, 'gradient');

-- Whether outputs depend on the other rows of the batch.
CREATE OR REPLACE MACRO need_row_independence(a, b) AS TABLE SELECT gap FROM need_selftest(b, 'rows');
