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
-- nothing:    rows of one turn with a masked prompt
-- fix:        shift the mask as the targets are shifted: targets = tokens[:, 1:] with mask[:, 1:]
-- harmless:   one pad after the end of a row, as mlx-lm's own loss has it
-- fires on:   zoo/neighbour-collator, zoo/neighbour-tuner
-- silent on:  zoo/healthy-command-masked, zoo/healthy-short-answers
WITH rows_ AS (
    SELECT *, first_ - opens AS begins, last_ - shuts AS ends_, coalesce(last_ > closed, false) AS past FROM masked_rows WHERE single AND hidden > 1 AND answers > 1
), all_ AS (
    SELECT bool_and(begins = 1) AND (bool_or(ends_ >= 1 OR past) OR NOT bool_or(padded)) AS late, bool_and(begins = -1 AND ends_ <= -1) AS early, bool_or(ends_ >= 1) AS beyond
    FROM rows_  -- what the template writes after the end of an answer is past it, and no sure sign
), aligned AS (SELECT next_ FROM alignment)
SELECT 'step ' || r.step || ' row ' || r.line AS subject,
    CASE WHEN begins = 1 THEN 'the first answer token carries no weight' || CASE WHEN ends_ >= 1 OR past THEN ', the token after the answer does' ELSE '' END
         WHEN begins = -1 THEN 'the token before the answer carries weight' || CASE WHEN ends_ <= -1 THEN ', the last of the row does not' ELSE '' END
         WHEN begins = 0 THEN 'weights begin with the answer' ELSE 'weights begin ' || abs(begins) || ' tokens ' || CASE WHEN begins > 0 THEN 'into' ELSE 'before' END || ' the answer' END AS observed,
    'weights from the first to the last token of the answer' AS expected, all_.late OR all_.early AS fault, loss_place(b) AS place,
    CASE WHEN all_.late THEN 'late' WHEN all_.early THEN 'early' ELSE 'right' END AS side,
    CASE WHEN all_.late AND NOT all_.beyond THEN 'probable' ELSE 'strong' END AS confidence
FROM rows_ r, all_, aligned WHERE aligned.next_ > 0.5
ORDER BY fault DESC, (abs(ends_) >= 1) DESC, r.step, r.line
