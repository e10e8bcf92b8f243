-- The gradient is not that of the loss.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, update-too-large, output-unchanged, score-dropped
-- claim:      The loss does not change along the gradient as the gradient says: {observed}.
-- clean:      the gradient against a finite difference of the loss ({observed})
-- rules out:  loss-sign-flipped, term-detached
-- needs:      gradient_check
-- nothing:    a gradient that was held against its loss
-- params:     a, b, fit = 0.05, own = 0.1
-- numbers:    fit - of the gradient at the logits, above which it is no cross-entropy's, as in loss_tokens;
-- own - how far off the ratio of one kind of parameters must be: twice what a difference may leave open
-- fix:        {fix_}
-- harmless:   a loss that holds a part of itself constant on purpose, a ratio to the policy of a moment ago
-- say; a backward pass that is another on purpose, straight through a rounding or with its sign turned
-- fires on:   zoo/wrong-vjp, zoo/wrong-vjp-in-model
-- silent on:  zoo/healthy-checked, zoo/healthy-own-vjp
select
    case
        when test = 'backward'
        then 'the backward pass of the model on the first batch'
        else 'the gradient of the first batch'
    end as subject,
    printf(
        'a finite difference%s gives %.4g times what the gradient says (its own rounding is %.0e)',
        if(test = 'backward', ' through the model, of one kind of its parameters,', ''),
        ratio,
        ratio_error
    ) as observed,
    'what the gradient says' as expected,
    abs(ratio - 1) > greatest(ratio_error, if(test = 'backward', own, 0))
    and not (coalesce(detached, false) and not plain.plain) as fault,
    case when detached then 'warning' end as severity,
    case
        when detached
        then
            'look at what mx.stop_gradient holds constant in the loss or the model; where it is meant, '
            || 'allow gradient-wrong'
        else
            'look at the vjp of each mx.custom_function, and at what scales or replaces a gradient within '
            || 'the function that is differentiated'
    end as fix_,
    if(test = 'backward', place, coalesce(loss_place(b), place)) as place
from
    selftests,
    (  -- a cross-entropy that pulls every target up has no ratio and no pair in it
        select
            coalesce(
                bool_and(weight > 0) and sum(least(residual, 1) * mass) / nullif(sum(mass), 0) < fit, false
            ) as plain
        from loss_tokens
        where run = run_of(b) and model = model_of(b) and step = 1 and weight <> 0
    ) plain
where run = run_of(b) and model = model_of(b) and test in ('gradient', 'backward') and kind is null
order by subject
