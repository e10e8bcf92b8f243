-- Padding carries a share of the loss.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse when repeats_padding, loss-not-decreasing when applied, score-dropped
-- when applied, output-unchanged when applied, stop-token-missing when applied
-- claim:      Padding carries {portion} of the loss.
-- clean:      padding in the loss ({observed})
-- early:      a step that taught padding has taught it, and steps without padding do not unteach it
-- rules out:  template-mismatch, end-never-trained, stop-token-missing, sampler-differs,
-- dropout-in-generation
-- needs:      run
-- reads:      moves, taught
-- nothing:    a loss on the output of a language model's forward
-- params:     a, b, floor = 0.001
-- numbers:    floor - of the loss's weight, a mask gives exactly 0, rounding less than this
-- fix:        multiply the per-token loss by a mask that is 0 where the target is padding, and divide by
-- the mask's sum; mask by length, not by id, where the padding is also the end token
-- harmless:   one pad a row, as mlx-lm's own loss has it; it is not counted here, and is in `weight_pad`
-- of forensics query loss-by-role
-- fires on:   snapshots/broken-stub, snapshots/padded-lora, zoo/padding-collator, zoo/story-padding
-- silent on:  zoo/story-mended, zoo/healthy-command-masked
with
    sums as (
        select
            sum(abs(weight)) as weight,
            sum(abs(weight)) filter (beyond) as beyond,
            sum(mass) filter (isfinite(mass)) as mass,
            sum(mass) filter (beyond and isfinite(mass)) as mass_beyond,
            count(*) filter (beyond) as pads,
            count(*) filter (beyond and coalesce(weight, mass) <> 0) as taught,
            count(*) filter (coalesce(weight, mass) <> 0) as targets,
            count(distinct step) as steps,
            count(distinct(step, forward, line)) as lines,
            count(weight) as known
        from taught
    ),
    shares as (
        select
            *,
            case
                when known > 0
                then coalesce(beyond, 0) / nullif(weight, 0)
                else coalesce(mass_beyond, 0) / nullif(mass, 0)
            end as share,
            known > 0 as by_weight
        from sums
        where steps > 0
    ),
    effect as (
        -- what the loss teaches shows in answers only where an update was applied; of a collapse, in the
        -- token that is repeated
        select
            exists (from moves where changed) as applied,
            exists (
                select 1
                from transcripts t
                join captures c on c.capture = t.capture
                where
                    c.run = run_of(b)
                    and t.top_token_class <> 'text'
                    and mostly(t.special_tokens, t.output_tokens)
            ) as padded
    )
select
    'the loss of ' || counted(steps, 'step') as subject,
    case
        when pads = 0
        then '0 %: ' || counted(lines, 'row') || ' without padding to teach'
        when taught = 0 or share = 0
        then 'none of ' || printf('%,d', pads) || ' padding targets after the first of a row has weight'
        else
            printf('%,d of %,d', taught, targets)
            || ' target tokens are padding after the first pad of a row, and carry '
            || percent(share)
            || ' of the '
            || case when by_weight then 'weight' else 'gradient' end
    end as observed,
    'weight 0 where the target is padding' as expected,
    coalesce(share > floor, false) as fault,
    loss_place(b) as place,
    percent(share) as portion,
    pads as pad_positions,
    taught as pads_taught,
    case when by_weight then 'weight' else 'gradient' end as measured_by,
    case when by_weight then 'certain' else 'strong' end as confidence,
    round(share, 4) as share,
    applied,
    applied and padded as repeats_padding
from shares, effect
where share is not null or pads = 0
order by subject
