-- The token that ends an answer is never trained.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, stop-token-missing, score-dropped
-- claim:      The end of an answer never carries weight: {observed}.
-- clean:      the end token ({observed})
-- rules out:  answers-truncated, stop-token-missing
-- needs:      loss_tokens
-- reads:      taught
-- nothing:    answers in the training rows that could end
-- fix:        {fix_}
-- harmless:   rows that are cut at their length
-- fires on:   zoo/end-masked-collator, zoo/end-cut-weights
-- silent on:  zoo/healthy-short-answers, zoo/healthy-command-masked
WITH rows_ AS (
    SELECT process, step, forward, line, count(*) FILTER (closes) AS ends_, count(*) FILTER (closes AND weight <> 0) AS trained,
        count(*) FILTER (role = 'answer' AND weight <> 0) AS answers, any_value(at_cap) AS at_cap, any_value(ends_with_end) AS ended
    FROM taught GROUP BY process, step, forward, line
), sums AS (
    SELECT count(*) AS n, sum(ends_) AS ends_, sum(trained) AS trained, count(*) FILTER (ends_ = 0 AND NOT at_cap AND NOT ended) AS open, count(*) FILTER (ended OR ends_ > 0) AS closed
    FROM rows_ WHERE answers > 0 AND ended IS NOT NULL
)
SELECT 'the answers of ' || n || ' rows' AS subject,
    CASE WHEN ends_ > 0 THEN trained || ' of ' || ends_ || ' answer ends carry weight' ELSE 'none of ' || n || ' rows has an end token' END AS observed,
    'the end token after an answer carries weight' AS expected, trained = 0 AND (ends_ > 0 OR open > 0) AS fault, loss_place(b) AS place,
    CASE WHEN ends_ > 0 THEN 'mask padding by length, not by id, and let the mask run to the end token of the answer'
         ELSE 'end each training row with tokenizer.eos_token_id (apply_chat_template writes the end of a turn)' END AS fix_
FROM sums WHERE n > 0 AND (ends_ > 0 OR open > 0)
ORDER BY subject
