-- The ignore index of another framework is taken as a token.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, loss-not-decreasing, score-dropped, padding-in-loss, prompt-in-loss, mask-off-by-one, end-never-trained, labels-not-shifted, output-unchanged, stop-token-missing
-- claim:      {observed} of the targets are the label -100, which MLX reads as a token: {positions} positions learn it.
-- clean:      the ignore index ({looked} of them looked at, none is -100)
-- needs:      loss_tokens
-- nothing:    a target with weight
-- fix:        keep = labels != -100; loss = (nn.losses.cross_entropy(logits, mx.where(keep, labels, 0)) * keep).sum() / keep.sum()
-- fires on:   zoo/ignored-collator, zoo/ignored-packed
-- silent on:  zoo/healthy-short-answers, zoo/healthy-noise
SELECT count(*) || ' targets' AS subject, percent(count(*) FILTER (ignored) / count(*)) AS observed, '0 %: such positions have no weight' AS expected,
    count(*) FILTER (ignored) > 1 AND count(*) FILTER (ignored) >= 0.9 * count(*) FILTER (relation = 'other') AS fault, loss_place(b) AS place,
    count(*) FILTER (ignored) AS positions
FROM (
    SELECT t.relation, t.relation = 'other' AND coalesce(t.ignore_index, false) AS ignored FROM loss_tokens t
    WHERE t.run = run_of(b) AND t.model = model_of(b) AND t.weight <> 0 AND isfinite(t.weight) AND t.residual <= 0.05
) HAVING count(*) > 0
ORDER BY subject
