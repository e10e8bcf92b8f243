-- The prompt is trained though it was to be masked.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, score-dropped, mask-off-by-one
-- claim:      {n} of {looked} rows train their prompt, though {declared}: {observed}.
-- clean:      the prompt mask ({looked:row|rows} looked at)
-- needs:      loss_tokens
-- reads:      alignment, masked_rows
-- nothing:    a prompt in the training rows
-- fix:        let the mask begin where the answer does: the offset is the length of apply_chat_template(messages[:-1], add_generation_prompt=True), and the loss must read it; flags of 1 are for what is trained
-- harmless:   a loss over the whole conversation, where nothing says that the prompt is masked; one token before the answer; a constant head alone is masked, as a system prompt
-- fires on:   zoo/prompt-header, zoo/prompt-declared
-- silent on:  zoo/healthy-short-answers, zoo/healthy-command-masked
WITH said AS MATERIALIZED (SELECT says_masked(b) AS said), every AS (
    SELECT m.*, coalesce(max(answers) OVER () < 2 AND max(untold) OVER () > 1, false) AS inverted FROM masked_rows m  -- no answer is trained in the whole run
), heads AS (  -- as many masked tokens in each row, though prompts differ in length: what all rows share, as a system prompt
    SELECT count(DISTINCT hidden) = 1 AND count(DISTINCT hidden + leaks) > 1 AS constant FROM every WHERE hidden + leaks > 0
), rows_ AS (
    SELECT e.*, said.said, said.said OR (e.hidden > 1 AND NOT heads.constant) AS meant FROM every e, said, heads WHERE (e.answers > 0 OR e.inverted AND e.untold > 1) AND e.leaks + e.hidden > 0
), aligned AS (SELECT next_ FROM alignment)
SELECT 'step ' || r.step || ' row ' || r.line AS subject,
    r.leaks || ' of ' || (r.leaks + r.hidden) || ' prompt tokens carry weight' || CASE WHEN r.inverted THEN ', and ' || r.answers || ' of ' || (r.answers + r.untold) || ' answer tokens' ELSE '' END AS observed,
    CASE WHEN r.inverted THEN 'the answer carries weight, and no prompt token' WHEN r.meant THEN 'no prompt token carries weight' ELSE 'nothing says that the prompt is masked' END AS expected,
    r.leaks > 1 AND (r.meant OR r.inverted) AS fault, loss_place(b) AS place,
    CASE WHEN r.said THEN 'the program asks for a prompt mask' WHEN r.inverted THEN 'their answers are masked' ELSE 'the rest of the prompt is masked' END AS declared,
    CASE WHEN r.inverted AND NOT r.said THEN 'probable' ELSE 'certain' END AS confidence,
    CASE WHEN r.inverted AND NOT r.said THEN 'warning' ELSE 'error' END AS severity  -- who trains a model of users means it
FROM rows_ r, aligned WHERE aligned.next_ > 0.5
ORDER BY fault DESC, r.step, r.line
