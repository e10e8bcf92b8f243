-- Training rows of one turn, each with where weights begin and end in it. `opens` is the first position that teaches the answer, `shuts` the
-- last that teaches a token of the row, `closed` the one that teaches the end; `leaks` and `hidden` count positions of the prompt with and
-- without weight, `answers` and `untold` those of the answer.
--
-- params: b
-- reads:  taught
SELECT process, step, forward, line, any_value(row_digest) AS row_digest, bool_or(first_pad IS NOT NULL) AS padded,
    min(position) FILTER (weight <> 0) AS first_, max(position) FILTER (weight <> 0) AS last_,
    min(position) FILTER (role = 'answer' OR closes) AS opens, max(position) FILTER (role IN ('prompt', 'answer', 'end')) AS shuts,
    max(position) FILTER (closes) AS closed,
    count(*) FILTER (weight <> 0 AND (role = 'prompt' OR (role = 'end' AND NOT closes))) AS leaks,
    count(*) FILTER (weight = 0 AND (role = 'prompt' OR (role = 'end' AND NOT closes))) AS hidden,
    count(*) FILTER (weight <> 0 AND (role = 'answer' OR closes)) AS answers,
    count(*) FILTER (weight = 0 AND (role = 'answer' OR closes)) AS untold,
    max(position) FILTER (role = 'prompt') < min(position) FILTER (role = 'answer' OR closes) AS single
FROM taught GROUP BY process, step, forward, line
