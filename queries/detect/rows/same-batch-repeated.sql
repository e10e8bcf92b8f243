-- Each step sees the same rows, though there are more.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   records-dropped, generation-collapse, score-dropped, loss-constant
-- claim:      {looked_at} recorded steps all see the same {rows_} rows; {file} holds {records} records.
-- clean:      the batches ({observed})
-- rules out:  records-dropped
-- needs:      run
-- nothing:    three steps on training rows
-- params:     a, b, least = 3
-- fix:        take the next batch in each step: iterate over the data set, not over its first batch
-- harmless:   a data set that is one batch
-- fires on:   zoo/same-collator, zoo/same-packed
-- silent on:  zoo/healthy-short-answers, zoo/healthy-prompt-in-loss-on-purpose
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model), each AS (
    SELECT r.process, r.step, string_agg(r.row_digest, ',' ORDER BY r.row_digest) AS rows_, count(DISTINCT r.row_digest) AS n
    FROM batch_rows r JOIN k ON r.run = k.run AND r.model = k.model WHERE r.row_digest IS NOT NULL GROUP BY r.process, r.step
), sums AS (SELECT count(*) AS steps, count(DISTINCT rows_) AS kinds, max(n) AS n FROM each),
data AS (
    SELECT max(records) AS records, max_by(coalesce(file, 'the data set'), records) AS file, max(used) AS seen FROM datasets JOIN k USING (run) WHERE purpose IN ('train', 'unknown') AND source <> 'forward'
)
SELECT 'batches' AS subject, CASE WHEN kinds = 1 THEN 'one and the same in ' || steps || ' recorded steps' ELSE kinds || ' different ones in ' || steps || ' recorded steps' END AS observed,
    'other rows in each step' AS expected, kinds = 1 AND coalesce(data.records > n, false) AND coalesce(data.seen < data.records, true) AS fault, loss_place(b) AS place,
    steps AS looked_at, n AS rows_, data.file, data.records
FROM sums, data WHERE steps >= least
ORDER BY subject
