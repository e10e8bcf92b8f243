-- The loss takes a softmax of what is one already.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, output-unchanged, generation-collapse, score-dropped, loss-constant
-- claim:      The loss takes a softmax of probabilities: {observed}.
-- clean:      what the loss takes as logits ({observed})
-- rules out:  learning-rate-zero, gradients-zero, labels-not-shifted
-- needs:      steps
-- long:       outputs that are probabilities, and two ways to know that the loss makes them so
-- nothing:    a kept step with a gradient at the logits
-- params:     a, b, exact = 0.05, apart_ = 4, least = 1
-- numbers:    exact - of the weights, which in a mean are equal but for rounding; apart_ - times as far
-- apart, where the same weights are read as those of logits; least - the loss, and how far two may be
-- apart, -p is below 1,
-- a cross-entropy of probabilities over two tokens or more may be above
-- fix:        {fix_}
-- harmless:   log-probabilities as logits: a softmax leaves them as they are
-- fires on:   zoo/softmax-in-loss
-- silent on:  zoo/healthy-short-answers, zoo/healthy-preference
with
    sums as (
        select
            count(*) as n,
            median(residual) as residual,
            median(weight_spread) as once,
            median(softmax_spread) as twice,
            bool_and(probabilities) as already,
            bool_and(softmax_spread < weight_spread) as closer,
            median(loss_taught) as taught,
            max(loss) as highest,
            min(loss) as loss
        from steps
        where run = run_of(b) and model = model_of(b) and softmax_spread is not null and residual is not null
    ),
    judged as (  -- a loss on probabilities alone, -p, is below 1; a cross-entropy of them is never
        select
            *,
            already and residual <= exact as outputs,
            twice <= exact and once > apart_ * twice and loss > least as taken,
            -- in 16 bits weights are no better known: the loss of logits would be near none, and it is
            -- another
            -- at each step by less than probabilities can be apart
            residual <= exact
            and closer
            and loss > least
            and highest - loss < least
            and taught <= exact * loss as level
        from sums
    )
select
    'the loss of ' || counted(n, 'kept step') as subject,
    case
        when outputs
        then 'the outputs that it is taken on are never negative, and sum to 1 at each position'
        when taken
        then
            printf(
                'read as a cross-entropy of probabilities its tokens have equal weights (they differ by '
                || '%s), read as one of logits they differ by %s',
                percent(twice),
                percent(once)
            )
        when level
        then
            printf(
                'of logits the loss would be %s by its gradient there, and it is %s to %s',
                brief(taught),
                brief(loss),
                brief(highest)
            )
        else
            printf(
                'weights differ by %s, and by %s if it took a softmax of probabilities',
                percent(once),
                percent(twice)
            )
    end || case
        when outputs or taken and not level
        then coalesce(printf('; the least loss is %.3g', loss), '')
        else ''
    end as observed,
    'a cross-entropy of logits' as expected,
    coalesce(outputs, false) or coalesce(taken, false) or coalesce(level, false) as fault,
    loss_place(b) as place,
    case
        when outputs
        then 'leave the softmax out of the model: nn.losses.cross_entropy takes logits, and does it itself'
        else 'hand the logits to nn.losses.cross_entropy as they are: it does the softmax itself'
    end as fix_,
    if(coalesce(outputs, false) or coalesce(taken, false), 'certain', 'probable') as confidence
from judged
where n > 0
order by subject
