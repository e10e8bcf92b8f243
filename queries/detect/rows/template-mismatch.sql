-- Training and generation format a conversation differently.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, score-dropped, output-unchanged, end-never-trained, stop-token-missing
-- claim:      {trained}, and {n} of {looked} generations ask {observed}.
-- clean:      the template (the same in training and in {looked:generation|generations})
-- rules out:  double-bos, tokenizer-mismatch
-- needs:      generations
-- nothing:    training rows and generations of a model with a chat template
-- setting:    data
-- fix:        format both with tokenizer.apply_chat_template(messages, add_generation_prompt=True) for
-- the prompt, and the same call without it for training rows
-- harmless:   texts without turns, where the model is asked in their form too
-- fires on:   zoo/template-chatset, zoo/template-roundtrip
-- silent on:  zoo/healthy-short-answers, zoo/healthy-roundtrip
with
    rows_ as (
        select
            count(*) as n,
            count(*) filter (frame = 'template') as framed,
            count(*) filter (frame = 'none') as plain
        from (select distinct row_digest, frame from batch_rows where run = run_of(b) and frame is not null)
    ),
    asked as (
        select g.generation, g.frame, g.place
        from generations g
        left join models m on m.run = g.run and m.model = g.model
        where
            g.run = run_of(b)
            and g.frame is not null
            and coalesce(g.cache_tokens, 0) = 0
            and (g.updates > 0 or coalesce(m.updates, 0) = 0)
    )
select
    'generation ' || asked.generation as subject,
    case
        asked.frame
        when 'template'
        then 'in the form of the chat template'
        when 'partial'
        then 'in a part of the chat template'
        else 'without the chat template'
    end as observed,
    case
        when framed = n
        then 'the form of the chat template, as in training'
        else 'no chat template, as in training'
    end as expected,
    (framed = n and asked.frame <> 'template') or (plain = n and asked.frame = 'template') as fault,
    case when framed = n then asked.place else coalesce(rows_place(b), asked.place) end as place,
    case
        when plain = n and not bool_and(asked.frame = 'template') over () then 'info' else 'error'
    end as severity,  -- asked as it was taught, too
    case
        when framed = n
        then 'All training rows have the form of the chat template'
        when plain = n
        then 'No training row has the form of the chat template'
        else framed || ' of ' || n || ' training rows have the form of the chat template'
    end as trained
from asked, rows_
where rows_.n > 0
order by fault desc, asked.generation
