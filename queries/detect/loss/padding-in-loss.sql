-- Padding carries a share of the loss.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse when repeats_padding, loss-not-decreasing when applied, score-dropped when applied,
--   output-unchanged when applied, stop-token-missing when applied
-- claim:      Padding carries {portion} of the loss.
-- clean:      padding in the loss ({observed})
-- rules out:  template-mismatch, end-never-trained, stop-token-missing, sampler-differs, dropout-in-generation
-- needs:      run
-- reads:      moves, taught
-- nothing:    a loss on the output of a language model's forward
-- params:     a, b, floor = 0.001
-- fix:        multiply the per-token loss by a mask that is 0 where the target is padding, and divide by the mask's sum; mask by length, not by id, where the padding is also the end token
-- harmless:   one pad a row, as mlx-lm's own loss has it; it is not counted here, and is in `weight_pad` of forensics query loss-by-role
-- fires on:   snapshots/broken-stub, snapshots/padded-lora, zoo/padding-collator, zoo/story-padding
-- silent on:  zoo/story-mended, zoo/healthy-command-masked
WITH sums AS (
    SELECT sum(abs(weight)) AS weight, sum(abs(weight)) FILTER (beyond) AS beyond, sum(mass) FILTER (isfinite(mass)) AS mass,
        sum(mass) FILTER (beyond AND isfinite(mass)) AS mass_beyond, count(*) FILTER (beyond) AS pads, count(*) FILTER (beyond AND coalesce(weight, mass) <> 0) AS taught,
        count(*) FILTER (coalesce(weight, mass) <> 0) AS targets,
        count(DISTINCT step) AS steps, count(DISTINCT (step, forward, line)) AS lines, count(weight) AS known
    FROM taught
), shares AS (
    SELECT *, CASE WHEN known > 0 THEN coalesce(beyond, 0) / nullif(weight, 0) ELSE coalesce(mass_beyond, 0) / nullif(mass, 0) END AS share,
        known > 0 AS by_weight
    FROM sums WHERE steps > 0
), effect AS (  -- what the loss teaches shows in answers only where an update was applied; of a collapse, in the token that is repeated
    SELECT EXISTS (FROM moves WHERE changed) AS applied, EXISTS (
        SELECT 1 FROM transcripts t JOIN captures c ON c.capture = t.capture
        WHERE c.run = run_of(b) AND t.top_token_class <> 'text' AND 2 * t.special_tokens > t.output_tokens) AS padded
)
SELECT 'the loss of ' || counted(steps, 'step') AS subject,
    CASE WHEN pads = 0 THEN '0 %: ' || counted(lines, 'row') || ' without padding to teach'
         WHEN taught = 0 OR share = 0 THEN 'none of ' || printf('%,d', pads) || ' padding targets after the first of a row has weight'
         ELSE printf('%,d of %,d', taught, targets) || ' target tokens are padding after the first pad of a row, and carry ' || percent(share) || ' of the '
            || CASE WHEN by_weight THEN 'weight' ELSE 'gradient' END END AS observed,
    'weight 0 where the target is padding' AS expected, coalesce(share > floor, false) AS fault, loss_place(b) AS place,
    percent(share) AS portion, pads AS pad_positions, taught AS pads_taught, CASE WHEN by_weight THEN 'weight' ELSE 'gradient' END AS measured_by,
    CASE WHEN by_weight THEN 'certain' ELSE 'strong' END AS confidence,
    round(share, 4) AS share, applied, applied AND padded AS repeats_padding
FROM shares, effect WHERE share IS NOT NULL OR pads = 0
ORDER BY subject
