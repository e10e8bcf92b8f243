-- The model sees the tokens that it is taught to predict.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, score-dropped, output-unchanged
-- claim:      The loss teaches the next token from outputs that already depend on it: {observed}.
-- clean:      what the model sees of the tokens that it predicts ({observed})
-- rules out:  labels-not-shifted, labels-shifted-twice
-- needs:      causality
-- nothing:    a position whose target is the token after it
-- params:     a, b
-- fix:        give the attention a causal mask (mask="causal", or mlx-lm's create_attention_mask), and hand
-- the mask on to every layer
-- harmless:   a model that is not causal and is taught something else: masked tokens, labels, answers
-- behind a prefix that it sees whole
-- fires on:   zoo/maskless-scratch, zoo/maskless-loop
-- silent on:  zoo/healthy-scratch, zoo/healthy-half
select
    'the outputs before a changed token' as subject,
    case
        when most = 0
        then printf('at %d positions the next token was changed, and the outputs did not move', samples)
        else
            printf(
                'at %d positions the next token was changed, and the outputs moved by %.3g to %.3g '
                || '(rounding by %.0e; they reach %.2g)',
                samples,
                least,
                most,
                rounding,
                scale
            )
    end as observed,
    'outputs that the tokens after them do not change' as expected,
    least > rounding as fault,
    coalesce(place, gradient_place(b)) as place
from selftests
where run = run_of(b) and model = model_of(b) and test = 'causality' and kind is null
order by subject
