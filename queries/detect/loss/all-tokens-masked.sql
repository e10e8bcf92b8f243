-- Batches in which no token carries weight.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   weights-not-finite, gradients-zero, parameters-unchanged, loss-constant, loss-not-decreasing,
-- output-unchanged, generation-collapse, end-never-trained, answers-truncated, prompt-in-loss,
-- saved-untrained, lora-inert, update-too-large
-- claim:      In {n} of {looked} recorded steps no token carries weight: the mask covers everything.
-- clean:      the mask (each of {looked} recorded steps has tokens with weight)
-- needs:      run
-- reads:      drawn_steps, taught
-- nothing:    a loss on the output of a language model's forward
-- params:     a, b, even = 0.9
-- numbers:    even - of the largest weight, the weights of a mean under a mask are equal but for rounding
-- fix:        check that the marker or offset at which the mask ends lies inside the row after truncation,
-- and raise where mask.sum() is 0
-- harmless:   answers that the model drew itself, whose advantages are zero (advantage-zero); a step
-- without weight where weights are set by more than a mask (an advantage, a reward), unless it is every
-- step
-- fires on:   zoo/masked-collator, zoo/masked-dialog
-- silent on:  zoo/healthy-short-answers, zoo/healthy-command-masked
with
    t as materialized(select * from taught),
    lines as (
        select
            process,
            step,
            forward,
            min(weight) as least,
            max(weight) as most,
            sum(weight) as whole,
            mostly(count(*) filter (weight is null), count(*)) as other
        from t
        where weight <> 0 or (weight is null and mass > 0 and isfinite(mass))
        group by process, step, forward, line
    ),
    factors as (
        -- what is left of a mean under a mask has one weight a token, or one a row: else a factor does it,
        -- and may be 0
        select coalesce(bool_or(factor), false) as there
        from
            (
                select
                    bool_or(other)
                    or (min(least) < even * max(most) and min(whole) < even * max(whole)) as factor
                from lines
                group by process, step, forward
            )
    ),
    each as (
        select
            process,
            step,
            count(*) as positions,
            count(*) filter (weight <> 0) as weighted,
            count(*) filter (mass > 0 and isfinite(mass)) as pulled,
            count(*) filter (mass is not null and not isfinite(mass)) as broken,
            bool_or(unreadable) as unreadable
        from t
        group by process, step
    )
select
    'step ' || e.step as subject,
    case
        when weighted > 0 or pulled > 0
        then greatest(weighted, pulled) || ' of ' || positions || ' tokens carry weight'
        else
            'none of '
            || positions
            || ' tokens carries weight'
            || case when not isfinite(s.loss) then '; the loss is ' || s.loss else '' end
    end as observed,
    'tokens with weight' as expected,
    weighted = 0
    and pulled = 0
    and (broken = 0 or not isfinite(s.loss))
    and coalesce(isfinite(s.parameter_norm), true) as fault,
    loss_place(b) as place
from each e
left join steps s on s.run = run_of(b) and s.model = model_of(b) and s.process = e.process and s.step = e.step
cross join factors
where
    (not unreadable or weighted > 0)
    and not (factors.there and weighted = 0 and pulled = 0 and broken = 0)
    -- a loss that is no number though its mask leaves positions: weights-not-finite
    and not coalesce(not isfinite(s.loss) and s.mask_left > 0, false)
    -- advantages are another matter than masks: advantage-zero
    and not exists (from drawn_steps d where d.zero)
order by fault desc, e.step
