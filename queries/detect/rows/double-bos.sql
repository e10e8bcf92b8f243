-- A begin token stands twice at the head of rows or prompts.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   score-dropped, generation-collapse, output-unchanged
-- claim:      {subject} {observed}, {expected}.
-- clean:      begin tokens ({observed} in training and in generation)
-- rules out:  template-mismatch
-- needs:      run
-- nothing:    a tokenizer with a begin token
-- fix:        the template writes the begin token: encode its text with add_special_tokens=False, or call apply_chat_template(..., tokenize=True)
-- fires on:   zoo/begin-rows, zoo/begin-prompt
-- silent on:  zoo/healthy-begin-token
WITH k AS MATERIALIZED (SELECT run_of(b) AS run), rows_ AS (
    SELECT mode(bos_count) AS n, any_value(loss_place(b)) AS place FROM batch_rows JOIN k USING (run) WHERE bos_count IS NOT NULL
), asked AS (
    SELECT mode(bos_count) AS n, any_value(place) AS place FROM generations JOIN k USING (run) WHERE bos_count IS NOT NULL AND coalesce(cache_tokens, 0) = 0
), sides AS (
    SELECT 'Training rows' AS subject, rows_.n, asked.n AS other, 'generation prompts with ' AS whose, rows_.place FROM rows_, asked
    UNION ALL SELECT 'Generation prompts', asked.n, rows_.n, 'training rows with ', asked.place FROM rows_, asked
)
SELECT subject, 'begin with ' || n || ' begin token' || CASE WHEN n = 1 THEN '' ELSE 's' END AS observed,
    CASE WHEN other IS NULL THEN 'one is right' ELSE whose || other END AS expected, n > 1 AND (other IS NULL OR other < n) AS fault, place
FROM sides WHERE n > 0 OR other > 0
ORDER BY fault DESC, subject
