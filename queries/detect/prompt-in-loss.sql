-- The prompt is trained though it was to be masked.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, score-dropped, mask-off-by-one
-- claim:      {n} of {looked} rows train their prompt, though {declared}: {observed}.
-- clean:      the prompt mask ({looked:row|rows} looked at)
-- needs:      loss_tokens
-- nothing:    a prompt in the training rows
-- fix:        let the mask begin where the answer does: the offset is the length of apply_chat_template(messages[:-1], add_generation_prompt=True), and the loss must read it
-- harmless:   a loss over the whole conversation, where nothing says that the prompt is masked; one token before the answer
-- fires on:   zoo/prompt-header, zoo/prompt-declared
-- silent on:  zoo/healthy-short-answers, zoo/healthy-command-masked
WITH said AS MATERIALIZED (SELECT says_masked(b) AS said), rows_ AS (
    SELECT m.*, said.said FROM masked_rows(b) m, said WHERE m.answers > 0 AND m.leaks + m.hidden > 0
), aligned AS (SELECT next_ FROM alignment(b))
SELECT 'step ' || r.step || ' row ' || r.line AS subject, r.leaks || ' of ' || (r.leaks + r.hidden) || ' prompt tokens carry weight' AS observed,
    CASE WHEN r.said OR r.hidden > 1 THEN 'no prompt token carries weight' ELSE 'nothing says that the prompt is masked' END AS expected, r.leaks > 1 AND (r.said OR r.hidden > 1) AS fault, loss_place(b) AS place,
    CASE WHEN r.said THEN 'the program asks for a prompt mask' ELSE 'the rest of the prompt is masked' END AS declared
FROM rows_ r, aligned WHERE aligned.next_ > 0.5
ORDER BY fault DESC, r.step, r.line
