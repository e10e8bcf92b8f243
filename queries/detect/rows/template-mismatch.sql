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
-- fix:        format both with tokenizer.apply_chat_template(messages, add_generation_prompt=True) for the prompt, and the same call without it for training rows
-- harmless:   texts without turns, where the model is asked in their form too
-- fires on:   zoo/template-chatset, zoo/template-roundtrip
-- silent on:  zoo/healthy-short-answers, zoo/healthy-roundtrip
WITH rows_ AS (
    SELECT count(*) AS n, count(*) FILTER (frame = 'template') AS framed, count(*) FILTER (frame = 'none') AS plain
    FROM (SELECT DISTINCT row_digest, frame FROM batch_rows WHERE run = run_of(b) AND frame IS NOT NULL)
), asked AS (
    SELECT g.generation, g.frame, g.place FROM generations g
    LEFT JOIN models m ON m.run = g.run AND m.model = g.model
    WHERE g.run = run_of(b) AND g.frame IS NOT NULL AND coalesce(g.cache_tokens, 0) = 0 AND (g.updates > 0 OR coalesce(m.updates, 0) = 0)
)
SELECT 'generation ' || asked.generation AS subject,
    CASE asked.frame WHEN 'template' THEN 'in the form of the chat template' WHEN 'partial' THEN 'in a part of the chat template' ELSE 'without the chat template' END AS observed,
    CASE WHEN framed = n THEN 'the form of the chat template, as in training' ELSE 'no chat template, as in training' END AS expected,
    (framed = n AND asked.frame <> 'template') OR (plain = n AND asked.frame = 'template') AS fault, asked.place,
    CASE WHEN plain = n AND NOT bool_and(asked.frame = 'template') OVER () THEN 'info' ELSE 'error' END AS severity,  -- asked as it was taught, too
    CASE WHEN framed = n THEN 'All training rows have the form of the chat template' WHEN plain = n THEN 'No training row has the form of the chat template'
        ELSE framed || ' of ' || n || ' training rows have the form of the chat template' END AS trained
FROM asked, rows_ WHERE rows_.n > 0
ORDER BY fault DESC, asked.generation
