-- Rows are cut before their answer ends.
--
-- role:       cause
-- severity:   error
-- confidence: strong
-- explains:   generation-collapse, end-never-trained, stop-token-missing, records-dropped, score-dropped
-- claim:      {observed} are cut at {cap} tokens before their answer ends.
-- clean:      the length of rows ({observed} are cut before their answer ends)
-- rules out:  end-never-trained
-- needs:      run
-- reads:      taught
-- nothing:    training rows with answers that could end
-- params:     a, b, many = 0.5, some_ = 0.05
-- fix:        raise the length that rows are cut to (max_seq_length) above {cap} tokens, or leave such rows out
-- harmless:   a stream of texts that is cut into pieces of one length
-- fires on:   zoo/cap-collator, zoo/cap-command
-- silent on:  zoo/healthy-short-answers, zoo/healthy-command-masked
WITH rows_ AS (
    SELECT row_digest, any_value(r.tokens) AS tokens, any_value(r.at_cap) AS at_cap, any_value(r.ends_with_end) AS ended, any_value(ends_) AS ends_, bool_or(taught_) AS taught_, any_value(r.frame) IN ('template', 'partial') AS chat,
        bool_or(r.head_digest IS NOT NULL) AS headed
    FROM batch_rows r LEFT JOIN (
        SELECT process, step, forward, line, count(*) FILTER (closes) AS ends_, coalesce(bool_or(weight <> 0), false) AS taught_ FROM taught GROUP BY process, step, forward, line
    ) t ON t.process = r.process AND t.step = r.step AND t.forward = r.forward AND t.line = r."row"
    WHERE r.run = run_of(b) AND r.model = model_of(b) AND r.ends_with_end IS NOT NULL GROUP BY row_digest
), sums AS (
    SELECT count(*) AS n, count(*) FILTER (at_cap AND NOT ended AND coalesce(ends_, 0) = 0) AS cut, max(tokens) AS cap,
        count(*) FILTER (ended) AS whole, bool_or(chat) AS chat,
        count(*) > 2 AND NOT bool_or(headed) AND count(*) FILTER (NOT at_cap) < 2 AS pieces  -- of one length but for the last, and none begins as another
    FROM rows_ WHERE taught_  -- else the token after the row is not known
)
SELECT 'training rows' AS subject, cut || ' of ' || n || ' distinct rows' AS observed, 'rows that hold the end of their answer' AS expected,
    cut > 1 AND cut >= some_ * n AS fault, cap, loss_place(b) AS place, CASE WHEN cut >= many * n THEN 'error' ELSE 'warning' END AS severity
FROM sums WHERE n > 0 AND NOT pieces AND (chat OR whole > 0)  -- text that is cut into pieces has no answers to cut
ORDER BY subject
