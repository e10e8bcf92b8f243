-- The ignore index of another framework is taken as a token.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, loss-not-decreasing, score-dropped, padding-in-loss, prompt-in-loss,
-- mask-off-by-one, end-never-trained, labels-not-shifted, output-unchanged, stop-token-missing
-- claim:      {observed} of the targets are the label {label}, which MLX reads as a token: {positions}
-- positions learn it.
-- clean:      the ignore index ({looked} of them looked at, none is -100 or -1)
-- early:      positions that taught the label {label} as a token have taught it
-- needs:      loss_tokens
-- nothing:    a target with weight
-- params:     a, b, nearly_all = 0.9
-- numbers:    nearly_all - of the targets that stand in no relation to their row, so many are the label, the
-- rest may be odd for a reason of its own
-- fix:        keep = labels >= 0; loss = (nn.losses.cross_entropy(logits, mx.where(keep, labels, 0)) *
-- keep).sum() / keep.sum()
-- fires on:   zoo/ignored-collator, zoo/ignored-packed
-- silent on:  zoo/healthy-short-answers, zoo/healthy-noise
select
    count(*) || ' targets' as subject,
    percent(count(*) filter (ignored) / count(*)) as observed,
    '0 %: such positions have no weight' as expected,
    count(*) filter (ignored) > 1
    and count(*) filter (ignored) >= nearly_all * count(*) filter (relation = 'other') as fault,
    loss_place(b) as place,
    count(*) filter (ignored) as positions,
    coalesce((mode(label) filter (ignored))::varchar, '-100') as label,
    -- the last row of an embedding may be a token of the program's own
    if(mode(label) filter (ignored) = -1, 'strong', 'certain') as confidence
from
    (
        select t.relation, t.label, t.relation = 'other' and coalesce(t.ignore_index, false) as ignored
        from loss_tokens t
        where
            t.run = run_of(b)
            and t.model = model_of(b)
            and t.weight <> 0
            and isfinite(t.weight)
            and is_cross_entropy(t.residual)
    )
having count(*) > 0
order by subject
