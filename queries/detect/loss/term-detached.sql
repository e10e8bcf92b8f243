-- A term of the loss carries no gradient.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- claim:      In {steps} of {looked_} steps a part of the loss got no gradient: {observed}.
-- clean:      the terms of the loss (each forward gets its gradient)
-- needs:      steps, every_step
-- long:       two ways to lose a term: a forward that gets no gradient, and a number that is handed in; the
-- second is fitted to the part of each step's value that is not taught
-- nothing:    a forward pass inside the loss
-- params:     a, b, often = 0.5, least = 0.05, alike = 0.05, steady = 0.01, few = 4
-- numbers:    often - in half of the steps, so that it is how the loss is made, a branch that is taken
-- now and then is not; least - of the loss, the part that the gradient at the logits does
-- not have; alike - of that part, what the number that was handed leaves over, and of the
-- loss, what is no cross-entropy's: rounding in 16 bits is less; steady - deviation over
-- mean of the weights' sum, or of the weight of one token: a loss that is scaled by what
-- it was handed has others at each step; few - kept steps: over fewer any two numbers may
-- go together
-- fix:        keep every term in mx and make it inside the function that is differentiated: numpy, .item(),
-- .tolist(), mx.stop_gradient and what that function is handed as a number are constants
-- harmless:   a reference model, or a second forward of the same rows, whose logits are constants on purpose;
-- a penalty that is handed to the loss to be read in its value alone
-- fires on:   zoo/detached-pairs, zoo/detached-mixed, zoo/detached-anchor
-- silent on:  zoo/healthy-mixed, zoo/healthy-pairs, zoo/healthy-anchored
with
    s as (
        select
            model,
            count(*) as n,
            count(*) filter (silent_forwards > 0) as silent,
            max(forwards) as spoke,
            max(silent_forwards) as mute
        from steps
        where run = run_of(b) and silent_forwards is not null
        group by model
        having max(forwards) > 0
    ),
    parts as (
        select
            *,
            unnest(handed::double[]) as number,
            generate_subscripts(handed::double[], 1) as place,
            'a number that the loss was handed' as kind
        from steps
        where outside_forwards > 0
        union all
        select
            *,
            unnest(divergences::double[]),
            generate_subscripts(divergences::double[], 1),
            'the divergence from other logits that the loss had'
        from steps
    ),
    kept as (
        select
            model,
            loss,
            loss_taught,
            loss - loss_taught as rest,
            weight_sum,
            weight_sum / nullif(tokens, 0) as weight,
            number,
            place,
            kind
        from parts
        where run = run_of(b) and loss_taught is not null and isfinite(loss) and residual < alike
    ),
    fitted as (
        -- the part of the loss that no gradient is of, as a multiple of a number that the loss was handed
        select *, sum(rest * number) over each_ / nullif(sum(number * number) over each_, 0) as factor
        from kept
        window each_ as (partition by model, kind, place)
    ),
    constant as (
        select
            model,
            count(*) as kept,
            printf(
                'of its value, %s, the gradient at the logits is that of %s; the rest is %s times %s, from %s to %s, '
                || 'taken of constants',
                brief(median(loss)),
                brief(median(loss_taught)),
                brief(any_value(factor)),
                kind,
                brief(min(number)),
                brief(max(number))
            ) as said
        from fitted
        group by model, kind, place
        having
            count(*) >= few
            and any_value(factor) > 0
            and min(weight_sum) > 0
            and least(stddev_pop(weight_sum) / avg(weight_sum), stddev_pop(weight) / avg(weight)) < steady
            and sum(rest) > least * sum(abs(loss))
            and stddev_pop(number) > least * abs(avg(number))
            and sqrt(sum(pow(rest - factor * number, 2)) / sum(pow(rest, 2))) < alike
        qualify row_number() over (partition by model order by sum(rest) desc, kind, place) = 1
    )
select
    'loss of ' || model as subject,
    case
        when silent > 0
        then counted(mute, 'forward') || ' without a gradient beside ' || spoke || ' with one'
        else coalesce(said, counted(spoke, 'forward') || ', each with a gradient')
    end as observed,
    'a gradient for each forward' as expected,
    silent >= often * n or (silent = 0 and said is not null) as fault,
    case when silent = 0 and said is not null then kept else silent end as steps,
    case when silent = 0 and said is not null then kept else n end as looked_,
    loss_place(b) as place
from s
left join constant using (model)
order by fault desc, subject
