-- A loss taken on hidden states leaves out the scale or the cap that the model puts on its logits.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, output-unchanged, score-dropped, loss-not-decreasing, update-too-large
-- claim:      The loss is not the cross-entropy of the model's own logits: {observed}.
-- clean:      the loss without logits ({observed})
-- needs:      steps
-- nothing:    a loss on the hidden states of a model that puts a scale or a cap on its logits
-- params:     a, b, exact = 0.05, near = 0.02, apart_ = 4
-- numbers:    exact - of the gradient that a reading may leave unexplained; near - of the loss, what rounding
-- in 16 bits leaves; apart_ - times as much is left unexplained by the other reading
-- fix:        multiply hidden @ weight.T as the model's own forward does, by its logit scale, or through its
-- soft cap, before the softmax; or hand the loss model(tokens)
-- harmless:   another term beside the cross-entropy: it is in the value, and the gradient decides
-- fires on:   zoo/bare-fused
-- silent on:  zoo/healthy-scaled-fused
with
    own as (  -- the model's own forward puts them on, as its configuration has it
        select bool_or(least <= near and most > apart_ * near) as puts
        from selftests
        where run = run_of(b) and model = model_of(b) and test = 'head' and kind is null
    ),
    kept as (
        select
            count(*) as n,
            median(loss) as loss,
            median(loss_shaped) as shaped,
            median(loss_bare) as bare,
            median(residual_shaped) as with_,
            median(residual_bare) as without_,
            median(abs(loss - loss_shaped) / nullif(abs(loss), 0)) as off_shaped,
            median(abs(loss - loss_bare) / nullif(abs(loss), 0)) as off_bare
        from steps
        where run = run_of(b) and model = model_of(b) and residual_bare is not null and loss is not null
    )
select
    'the loss of ' || counted(n, 'kept step') as subject,
    printf(
        'it is %.4g where that of the model''s logits at the same rows, targets and weights is %.4g, and '
        || '%.4g without the scale or cap that the model puts on them; the gradient at the hidden states '
        || 'leaves %s unexplained with it, and %s without',
        loss,
        kept.shaped,
        bare,
        percent(with_),
        percent(without_)
    ) as observed,
    'the cross-entropy of the logits that the model''s forward gives' as expected,
    coalesce(
        without_ <= exact
        and (with_ > greatest(exact, apart_ * without_) or (off_bare <= near and off_shaped > apart_ * near)),
        false
    ) as fault,
    loss_place(b) as place
from kept, own
where n > 0 and own.puts
order by subject
