-- Facts that detectors need. Each macro gives one row: `missing` is NULL where the fact is there, else what is needed, in words.
-- `healthy` needs parameters, end, trainable, updates and loss_tokens; of these, words that begin with `not applicable` do not stand against it.

-- Parameters of both captures, by digest.
CREATE OR REPLACE MACRO need_parameters(a, b) AS TABLE
WITH counted AS (
    SELECT count(*) FILTER (capture = capture_of(a)) AS before, count(*) FILTER (capture = capture_of(b)) AS after
    FROM placements WHERE digest IS NOT NULL OR error IS NOT NULL
)
SELECT CASE WHEN before = 0 AND after = 0 THEN 'the parameters of a model'
            WHEN before = 0 THEN 'the parameters of ' || a WHEN after = 0 THEN 'the parameters of ' || b END AS missing
FROM counted;

-- Where b's run trained the model: its state after the last update. An `end` that updates followed is not it, and of a program that was killed
-- nobody knows which update was the last. What was seen of the whole run says nothing of a state in its midst.
CREATE OR REPLACE MACRO need_end(a, b) AS TABLE
WITH ended AS (
    SELECT any_value(c.capture) AS capture, any_value(c.updates) AS updates FROM captures c WHERE c.capture = at_point(b, 'end')
), main AS (SELECT any_value(m.updates) AS updates FROM models m WHERE m.run = run_of(b) AND m.model = model_of(b))
SELECT CASE WHEN cut_off(b) THEN 'the model after the last update: its process was killed'
            WHEN watched(b) AND main.updates > CASE WHEN ended.capture IS NULL THEN 0 ELSE ended.updates END
            THEN 'the model after the last update'
            WHEN watched(b) AND sequence_of(b) < sequence_of(ended.capture)
            THEN 'the model after the last update, which came after ' || b END AS missing
FROM ended, main;

-- A run that was watched, not files at rest.
CREATE OR REPLACE MACRO need_run(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b) THEN 'a watched run: forensics capture -- COMMAND' END AS missing;

-- The trainable set of the model that b means.
CREATE OR REPLACE MACRO need_trainable(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b) THEN 'the trainable set, from a watched run: forensics capture -- COMMAND'
            WHEN NOT trains(b) AND NOT EXISTS (
                SELECT 1 FROM placements p JOIN captures c ON c.capture = p.capture
                WHERE c.run = run_of(b) AND c.model = model_of(b) AND p.trainable IS NOT NULL)
            THEN 'not applicable: the run trains nothing'
            WHEN NOT EXISTS (
                SELECT 1 FROM placements p JOIN captures c ON c.capture = p.capture
                WHERE c.run = run_of(b) AND c.model = model_of(b) AND p.trainable IS NOT NULL)
            THEN 'the trainable set of ' || b END AS missing;

-- Update calls of the model that b means, be they none.
CREATE OR REPLACE MACRO need_updates(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b) THEN 'the update calls, from a watched run: forensics capture -- COMMAND'
            WHEN NOT EXISTS (SELECT 1 FROM models m WHERE m.run = run_of(b) AND m.model = model_of(b) AND m.updates IS NOT NULL)
            THEN 'the update calls of ' || b END AS missing;

-- What the loss teaches at each position, from a loss that is a cross-entropy.
CREATE OR REPLACE MACRO need_loss_tokens(a, b) AS TABLE
WITH seen AS (
    SELECT count(*) AS n, median(residual) FILTER (weight <> 0) AS residual
    FROM loss_tokens WHERE run = run_of(b) AND model = model_of(b)
), trained AS (
    SELECT coalesce(bool_or(gradients > 0), false) AS gradients FROM models WHERE run = run_of(b) AND model = model_of(b)
), lost AS (
    SELECT coalesce(bool_or(missing LIKE '%loss%'), false) AS loss FROM runs WHERE run = run_of(b)
)
SELECT CASE WHEN NOT watched(b) THEN 'the loss at its tokens, from a watched run: forensics capture -- COMMAND'
            WHEN NOT trained.gradients THEN 'not applicable: the run takes no gradient of this model'
            WHEN seen.n = 0 AND lost.loss THEN 'the loss at its tokens, which could not be recorded'
            WHEN seen.n = 0 THEN 'not applicable: the loss is not taken on the output of a language model''s forward'
            WHEN seen.residual > 0.05 THEN 'not applicable: the loss is no cross-entropy' END AS missing
FROM seen, trained, lost;

-- The same probes answered at a and at b.
CREATE OR REPLACE MACRO need_probes(a, b) AS TABLE
WITH counted AS (
    SELECT count(*) FILTER (capture = probes_at(a)) AS before, count(*) FILTER (capture = probes_at(b)) AS after
    FROM transcripts WHERE source = 'probe' AND finish_reason IS DISTINCT FROM 'error'
)
SELECT CASE WHEN before = 0 OR after = 0 THEN 'the answers to probes at '
            || CASE WHEN before > 0 THEN b WHEN after > 0 THEN a ELSE a || ' and ' || b END END AS missing
FROM counted;

-- A generation of the program's own.
CREATE OR REPLACE MACRO need_generations(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b) THEN 'a generation of the program, from a watched run: forensics capture -- COMMAND'
            WHEN NOT EXISTS (SELECT 1 FROM generations WHERE run = run_of(b)) THEN 'the program generated nothing' END AS missing;

-- A file with tensors that the program wrote.
CREATE OR REPLACE MACRO need_saved(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b) THEN 'a file that the program saves, from a watched run: forensics capture -- COMMAND'
            WHEN NOT EXISTS (SELECT 1 FROM saved_tensors WHERE run = run_of(b))
             AND NOT EXISTS (SELECT 1 FROM captures WHERE run = run_of(b) AND point = 'saved') THEN 'nothing was saved' END AS missing;

-- What was saved, loaded on its base in a fresh process.
CREATE OR REPLACE MACRO need_reloaded(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b) THEN 'a reload of what was saved, from a watched run: forensics capture -- COMMAND'
            WHEN NOT EXISTS (SELECT 1 FROM saved_tensors WHERE run = run_of(b)) THEN 'nothing was saved'
            WHEN NOT EXISTS (SELECT 1 FROM captures WHERE run = run_of(b) AND point = 'reloaded')
            THEN 'a reload of what was saved (capture without --no-reload)' END AS missing;

-- The differences of all parameters that differ between a and b.
CREATE OR REPLACE MACRO need_deltas(a, b) AS TABLE
WITH pairs AS (
    SELECT count(*) AS n, count(d.digest_a) AS measured
    FROM paired(a, b) p LEFT JOIN deltas d ON d.digest_a = p.key_a AND d.digest_b = p.key_b
    WHERE p.status = 'changed' AND p.shape_a = p.shape_b
)
SELECT CASE WHEN measured < n THEN 'the differences of ' || (n - measured) || ' of ' || n || ' changed tensors (capture with --tensors all)' END AS missing
FROM pairs;

-- Loss, rate and norms by step.
CREATE OR REPLACE MACRO need_steps(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b) THEN 'the steps of training, from a watched run: forensics capture -- COMMAND'
            WHEN NOT EXISTS (SELECT 1 FROM steps WHERE run = run_of(b) AND model = model_of(b))
            THEN CASE WHEN trains(b) THEN 'the steps of this model' ELSE 'not applicable: the run trains nothing' END END AS missing;

-- Gradient and update norms by parameter.
CREATE OR REPLACE MACRO need_gradients(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b) THEN 'gradients by parameter, from a watched run: forensics capture -- COMMAND'
            WHEN NOT EXISTS (SELECT 1 FROM gradients WHERE run = run_of(b) AND model = model_of(b))
            THEN CASE WHEN trains(b) THEN 'gradients by parameter' ELSE 'not applicable: the run trains nothing' END END AS missing;

-- Functions that the program compiled.
CREATE OR REPLACE MACRO need_compiled(a, b) AS TABLE
SELECT CASE WHEN NOT watched(b) THEN 'the compiled functions, from a watched run: forensics capture -- COMMAND'
            WHEN NOT EXISTS (SELECT 1 FROM compiled WHERE run = run_of(b)) THEN 'the program compiles nothing' END AS missing;

-- Next-token logits of the same probes at a and at b, compared.
CREATE OR REPLACE MACRO need_logits(a, b) AS TABLE
SELECT CASE WHEN probes_at(a) IS DISTINCT FROM probes_at(b) AND NOT EXISTS (
    SELECT 1 FROM probe_deltas WHERE capture_a = probes_at(a) AND capture_b = probes_at(b) AND logits_max_abs IS NOT NULL)
    AND NOT EXISTS (
    SELECT 1 FROM probe_deltas WHERE capture_a = capture_of(a) AND capture_b = capture_of(b) AND logits_max_abs IS NOT NULL)
    THEN 'the logits of probes at ' || a || ' and ' || b END AS missing;

-- How much of an adapter is in weights into which it was fused.
CREATE OR REPLACE MACRO need_fusions(a, b) AS TABLE
SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM fusions) THEN 'nothing was fused' END AS missing;
