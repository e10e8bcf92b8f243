-- Rows are taught the next tokens of other rows, or their own under other numbers.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   padding-in-loss, prompt-in-loss, mask-off-by-one, end-never-trained, answers-truncated,
-- loss-not-decreasing, generation-collapse, score-dropped
-- claim:      {said}: {observed}.
-- clean:      the order of rows and labels ({observed})
-- rules out:  labels-not-shifted, labels-shifted-twice, ignore-index-as-token
-- needs:      loss_tokens
-- nothing:    targets in two rows of a batch
-- params:     a, b, share = 0.2, most = 0.8
-- numbers:    share - of all targets, equal texts in two rows give fewer; most - of the targets that are
-- strange in their own row are the next token of another
-- setting:    data
-- fix:        {fix_}
-- harmless:   targets that are no token of any row, as those of masked language models; a head that numbers
-- its tokens in a way of its own
-- fires on:   zoo/apart-collator
-- silent on:  zoo/healthy-noise, zoo/healthy-short-answers
with
    targets as (
        select
            (t.process, t.step, t.forward, t."row") as line,
            t.relation = 'other' and t.ignore_index is distinct from true as strange,
            coalesce(t.elsewhere, false) as elsewhere,
            coalesce(t.renumbered, false) and t.ignore_index is distinct from true as renumbered
        from loss_tokens t
        where
            t.run = run_of(b)
            and t.model = model_of(b)
            and t.weight <> 0
            and isfinite(t.weight)
            and is_cross_entropy(t.residual)
    ),
    sums as (
        select
            count(*) as n,
            count(*) filter (strange) as strange,
            count(*) filter (elsewhere) as elsewhere,
            count(*) filter (renumbered) as renumbered,
            count(distinct line) filter (elsewhere) as lines,
            count(distinct line) as rows_
        from targets
    ),
    judged as (
        select
            *,
            lines > 1 and elsewhere >= share * n and elsewhere >= most * strange as apart,
            renumbered >= share * n and renumbered >= most * strange as anew
        from sums
    )
select
    n || ' targets' as subject,
    case
        when elsewhere > 0
        then
            'in '
            || lines
            || ' of '
            || counted(rows_, 'row')
            || ' the targets are the next tokens of another row, '
            || percent(elsewhere / n)
            || ' of all targets'
        when anew
        then
            percent(renumbered / n)
            || ' of the targets stand for the next token of their row and are not its id'
        else 'no target is the next token of another row alone'
    end as observed,
    'each target is the next token of its own row' as expected,
    apart or anew as fault,
    loss_place(b) as place,
    if(
        anew,
        'The targets number the tokens in another way than the rows do, one number for each',
        'Rows and labels lie in another order'
    ) as said,
    if(
        anew,
        'take targets from the same ids as inputs: tokens[:, 1:] of tokens[:, :-1]; where the head numbers '
        || 'its tokens in a way of its own, allow this finding',
        'shuffle, sort, roll and index rows and labels together, as one array or by one list of indices'
    ) as fix_,
    -- a head may have a numbering of its own
    if(anew and not apart, 'warning', 'error') as severity,
    if(anew and not apart, 'strong', 'certain') as confidence
from judged
where n > 0 and rows_ > 1
order by subject
