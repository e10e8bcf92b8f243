-- The prompt is trained though it was to be masked.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, score-dropped, mask-off-by-one
-- claim:      {n} of {looked} rows train their prompt, though {declared}: {observed}.
-- clean:      the prompt mask ({looked:row|rows} looked at)
-- early:      the rows that trained their prompt were trained, though the program had declared a mask
-- (column `early`)
-- needs:      loss_tokens
-- reads:      alignment, masked_rows, sampled
-- nothing:    a prompt in the training rows
-- setting:    mask_prompt
-- fix:        let the mask begin where the answer does: the offset is the length of
-- apply_chat_template(messages[:-1], add_generation_prompt=True), and the loss must read it; flags of 1
-- are for what is trained
-- harmless:   a loss over the whole conversation, where nothing says that the prompt is masked; one token
-- before the answer; a constant head alone is masked, as a system prompt
-- fires on:   zoo/prompt-header, zoo/prompt-declared
-- silent on:  zoo/healthy-short-answers, zoo/healthy-command-masked
with
    said as materialized(select says_masked(b) as said),
    every as (
        select m.*, coalesce(max(answers) over () <= 1 and max(untold) over () > 1, false) as inverted
        from masked_rows m  -- no answer is trained in the whole run
        where  -- what a model draws may look like a prompt
            says_masked(b) or not exists (from sampled x where x.process = m.process)
    ),
    heads as (
        -- as many masked tokens in each row, though prompts differ in length: what all rows share, as a
        -- system prompt; `cut`: in the midst of the first turn
        select
            count(distinct hidden) = 1 and count(distinct hidden + leaks) > 1 as constant,
            coalesce(bool_and(hidden_ends = 0 and leaked_ends > 0), false) as cut
        from every
        where hidden + leaks > 0
    ),
    rows_ as (
        select
            e.*,
            said.said,
            heads.constant and not said.said as opening,
            said.said or (e.hidden > 1 and (not heads.constant or heads.cut)) as meant
        from every e, said, heads
        where (e.answers > 0 or e.inverted and e.untold > 1) and e.leaks + e.hidden > 0
    )
select
    'step ' || r.step || ' row ' || r.line as subject,
    r.leaks
    || ' of '
    || (r.leaks + r.hidden)
    || ' prompt tokens carry weight'
    || case
        when r.inverted
        then ', and ' || r.answers || ' of ' || (r.answers + r.untold) || ' answer tokens'
        else ''
    end as observed,
    case
        when r.inverted
        then 'the answer carries weight, and no prompt token'
        when r.meant
        then 'no prompt token carries weight'
        else 'nothing says that the prompt is masked'
    end as expected,
    r.leaks > 1 and (r.meant or r.inverted) as fault,
    loss_place(b) as place,
    case
        when r.said
        then 'the program asks for a prompt mask'
        when r.inverted
        then 'their answers are masked'
        when r.opening
        then 'its first tokens are masked, as many in each row and no whole turn'
        else 'the rest of the prompt is masked'
    end as declared,
    case when r.opening or r.inverted and not r.said then 'probable' else 'certain' end as confidence,
    r.said as early,
    -- who trains a model of users means it, and so may who leaves out how each row opens
    case when r.opening or r.inverted and not r.said then 'warning' else 'error' end as severity
from rows_ r, alignment
where alignment.aligned
order by fault desc, r.step, r.line
