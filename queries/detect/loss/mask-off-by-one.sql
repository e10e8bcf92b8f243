-- The loss mask lies one token beside the answer.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   end-never-trained, generation-collapse, padding-in-loss, stop-token-missing, score-dropped
-- claim:      {n} of {looked} rows are masked one token {side}: {observed}.
-- clean:      the place of the mask ({looked:row begins and ends|rows begin and end} with the answer)
-- rules out:  prompt-in-loss, labels-not-shifted, labels-shifted-twice
-- needs:      loss_tokens
-- reads:      alignment, masked_rows
-- nothing:    rows with a masked prompt before one answer, or before the last
-- fix:        shift the mask as the targets are shifted: targets = tokens[:, 1:] with mask[:, 1:]
-- harmless:   one pad after the end of a row, as mlx-lm's own loss has it; a first token that the program
-- hands over with the question
-- fires on:   zoo/neighbour-collator, zoo/neighbour-tuner
-- silent on:  zoo/healthy-command-masked, zoo/healthy-short-answers
with
    rows_ as (
        select *, first_ - opens as begins, last_ - shuts as ends_, coalesce(last_ > closed, false) as past
        from masked_rows
        where (single or last_alone) and hidden > 1 and answers > 1
    ),
    handed as (  -- the program gives the first token of an answer with the question
        select coalesce(bool_or(given_tokens = 1), false) as over from generations where run = run_of(b)
    ),
    all_ as (
        select
            bool_and(begins = 1)
            and case
                when any_value(handed.over)
                then bool_or(ends_ >= 1)
                else bool_or(ends_ >= 1 or past) or not bool_or(padded)
            end as late,
            -- of the last position of a row without padding nobody saw what it was to teach
            bool_and(begins = -1 and (ends_ <= -1 or not padded and not to_edge)) as early,
            bool_and(coalesce(last_ >= closed, false)) as whole,
            bool_or(ends_ >= 1) as beyond
        -- what the template writes after the end of an answer is past it, and no sure sign
        from rows_, handed
    )
select
    'step ' || r.step || ' row ' || r.line as subject,
    case
        when begins = 1
        then
            'the first answer token carries no weight'
            || case when ends_ >= 1 or past then ', the token after the answer does' else '' end
        when begins = -1
        then
            'the token before the answer carries weight' || case
                when ends_ <= -1 or not padded and not to_edge then ', the last of the row does not' else ''
            end
        when begins = 0
        then 'weights begin with the answer'
        else
            'weights begin '
            || abs(begins)
            || ' tokens '
            || case when begins > 0 then 'into' else 'before' end
            || ' the answer'
    end as observed,
    'weights from the first to the last token of the answer' as expected,
    all_.late or all_.early as fault,
    loss_place(b) as place,
    case when all_.late then 'late' when all_.early then 'early' else 'right' end as side,
    case
        when all_.early and all_.whole or all_.late and not all_.beyond then 'probable' else 'strong'
    end as confidence,
    -- from the line break of the header to the end that answers have may be meant
    case when all_.early and all_.whole then 'warning' else 'error' end as severity
from rows_ r, all_, alignment
where alignment.aligned
order by fault desc, (abs(ends_) >= 1) desc, r.step, r.line
