-- Batches in which no token carries weight.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   weights-not-finite, gradients-zero, parameters-unchanged, loss-constant, loss-not-decreasing, output-unchanged, generation-collapse, end-never-trained, answers-truncated, prompt-in-loss, saved-untrained, lora-inert, update-too-large
-- claim:      In {n} of {looked} recorded steps no token carries weight: the mask covers everything.
-- clean:      the mask (each of {looked} recorded steps has tokens with weight)
-- needs:      run
-- reads:      taught
-- nothing:    a loss on the output of a language model's forward
-- fix:        check that the marker or offset at which the mask ends lies inside the row after truncation, and raise where mask.sum() is 0
-- harmless:   a step without weight where weights are set by more than a mask (an advantage, a reward), unless it is every step
-- fires on:   zoo/masked-collator, zoo/masked-dialog
-- silent on:  zoo/healthy-short-answers, zoo/healthy-command-masked
WITH t AS MATERIALIZED (SELECT * FROM taught), lines AS (
    SELECT process, step, forward, min(weight) AS least, max(weight) AS most, sum(weight) AS whole, 2 * count(*) FILTER (weight IS NULL) > count(*) AS other
    FROM t WHERE weight <> 0 OR (weight IS NULL AND mass > 0 AND isfinite(mass)) GROUP BY process, step, forward, line
), factors AS (  -- what is left of a mean under a mask has one weight a token, or one a row: else a factor does it, and may be 0
    SELECT coalesce(bool_or(factor), false) AS there
    FROM (SELECT bool_or(other) OR (min(least) < 0.9 * max(most) AND min(whole) < 0.9 * max(whole)) AS factor FROM lines GROUP BY process, step, forward)
), each AS (
    SELECT process, step, count(*) AS positions, count(*) FILTER (weight <> 0) AS weighted, count(*) FILTER (mass > 0 AND isfinite(mass)) AS pulled,
        count(*) FILTER (mass IS NOT NULL AND NOT isfinite(mass)) AS broken, bool_or(unreadable) AS unreadable
    FROM t GROUP BY process, step
)
SELECT 'step ' || e.step AS subject,
    CASE WHEN weighted > 0 OR pulled > 0 THEN greatest(weighted, pulled) || ' of ' || positions || ' tokens carry weight'
         ELSE 'none of ' || positions || ' tokens carries weight' || CASE WHEN NOT isfinite(s.loss) THEN '; the loss is ' || s.loss ELSE '' END END AS observed,
    'tokens with weight' AS expected, weighted = 0 AND pulled = 0 AND (broken = 0 OR NOT isfinite(s.loss)) AND coalesce(isfinite(s.parameter_norm), true) AS fault, loss_place(b) AS place
FROM each e LEFT JOIN steps s ON s.run = run_of(b) AND s.model = model_of(b) AND s.process = e.process AND s.step = e.step CROSS JOIN factors
WHERE (NOT unreadable OR weighted > 0) AND NOT (factors.there AND weighted = 0 AND pulled = 0 AND broken = 0)
ORDER BY fault DESC, e.step
