-- A loss taken on hidden states is not that of the model's logits: it leaves out their scale or cap, or takes
-- the embedding for a head that the model has.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, output-unchanged, score-dropped, loss-not-decreasing, update-too-large
-- claim:      The loss is not the cross-entropy of the model's own logits: {observed}.
-- clean:      the loss without logits ({observed})
-- needs:      steps
-- nothing:    a loss on the hidden states of a model whose head could be mistaken
-- params:     a, b, exact = 0.05, near = 0.02, apart_ = 4
-- numbers:    exact - of the gradient that a reading may leave unexplained; near - of the loss, what rounding
-- in 16 bits leaves; apart_ - times as much is left unexplained by the other reading
-- fix:        make the logits of hidden states as the model's own forward does: by its lm_head where it has
-- one, with its logit scale or soft cap, before the softmax; or hand the loss model(tokens)
-- harmless:   another term beside the cross-entropy: it is in the value, and the gradient decides
-- fires on:   zoo/bare-fused, zoo/table-fused
-- silent on:  zoo/healthy-scaled-fused
with
    own as (  -- the model's own forward makes its logits so, and they are others
        select bool_or(least <= near and most > apart_ * near) as makes
        from selftests
        where run = run_of(b) and model = model_of(b) and test = 'head' and kind is null
    ),
    kept as (
        select
            count(*) as n,
            case
                when bool_or(other_head = 'table')
                then 'of its embedding, which is not its head'
                else 'without the scale or cap that the model puts on them'
            end as other,
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
        || '%.4g with logits %s; the gradient at the hidden states leaves %s unexplained with its own logits, '
        || 'and %s with those',
        loss,
        kept.shaped,
        bare,
        other,
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
where n > 0 and own.makes
order by subject
