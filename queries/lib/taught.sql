-- What the loss taught, position by position, of the model that a ref means.

-- Positions of the kept steps with what their row is. `beyond`: padding after the first pad of the row (mlx-lm's own loss trains that
-- first one), or before the row. `closes`: the end of an answer, not that of a prompt. Rows that are no cross-entropy carry NULL as weight.
CREATE OR REPLACE MACRO taught(b) AS TABLE
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, model_of(b) AS model)
SELECT t.process, t.step, t.forward, t."row" AS line, t.position, t.role, t.relation, t.mass, coalesce(isinf(t.residual), false) AS unreadable,
    CASE WHEN t.residual <= 0.05 AND isfinite(t.weight) THEN t.weight END AS weight,
    r.width, r.first_pad, r.at_cap, r.ends_with_end, r.framed, r.row_digest, r.prompt_tokens,
    t.role = 'pad' AND coalesce(t.position + 1 > r.first_pad, true) AS beyond,
    t.role = 'end' AND lag(t.role, 1, t.role) OVER (PARTITION BY t.process, t.step, t.forward, t."row" ORDER BY t.position) <> 'prompt' AS closes
FROM loss_tokens t JOIN k ON t.run = k.run AND t.model = k.model
LEFT JOIN batch_rows r ON r.run = t.run AND r.process = t.process AND r.model = t.model AND r.step = t.step AND r.forward = t.forward AND r."row" = t."row";

-- How the targets stand to the rows, as shares of the weighted positions outside padding, and how many there are.
CREATE OR REPLACE MACRO alignment(b) AS TABLE
SELECT count(*) AS n, count(*) FILTER (relation = 'next') / count(*) AS next_, count(*) FILTER (relation = 'same') / count(*) AS same_,
    count(*) FILTER (relation = 'next-but-one') / count(*) AS second_, count(*) FILTER (relation = 'other') / count(*) AS other_
FROM taught(b) WHERE weight <> 0 AND relation IS NOT NULL AND role IN ('prompt', 'answer', 'end') HAVING count(*) > 0;

-- Where the gradient is asked for, else where the trainer is called: the place to look for the loss.
CREATE OR REPLACE MACRO loss_place(b) AS (
    SELECT coalesce(min_by(events.place, events.sequence) FILTER (events.kind = 'grad' AND events.model = model_of(b)),
        min_by(events.place, events.sequence) FILTER (events.kind = 'train'), min_by(events.place, events.sequence) FILTER (events.kind = 'grad'))
    FROM events WHERE events.run = run_of(b)
);

-- A share in words: percent with two digits, never 0 where there is something.
CREATE OR REPLACE MACRO percent(x) AS (
    CASE WHEN x IS NULL THEN 'not measured' WHEN x = 0 THEN '0 %' WHEN x < 0.001 THEN 'under 0.1 %' WHEN x < 0.0995 THEN printf('%.1f %%', 100 * x)
        ELSE printf('%.0f %%', 100 * x) END
);

-- A number of things: 1 step, 2,000 steps.
CREATE OR REPLACE MACRO counted(n, what) AS printf('%,d %s', n::BIGINT, what || CASE WHEN n = 1 THEN '' ELSE 's' END);

-- Numbers in words: three digits.
CREATE OR REPLACE MACRO brief(x) AS (CASE WHEN x IS NULL THEN 'not measured' ELSE printf('%.3g', x::DOUBLE) END);

-- Training rows of one turn, each with where weights begin and end in it. `opens` is the first position that teaches the answer, `shuts` the
-- last that teaches a token of the row, `closed` the one that teaches the end; `leaks` and `hidden` count positions of the prompt with and
-- without weight, `answers` and `untold` those of the answer.
CREATE OR REPLACE MACRO masked_rows(b) AS TABLE
SELECT process, step, forward, line, any_value(row_digest) AS row_digest, bool_or(first_pad IS NOT NULL) AS padded,
    min(position) FILTER (weight <> 0) AS first_, max(position) FILTER (weight <> 0) AS last_,
    min(position) FILTER (role = 'answer' OR closes) AS opens, max(position) FILTER (role IN ('prompt', 'answer', 'end')) AS shuts,
    max(position) FILTER (closes) AS closed,
    count(*) FILTER (weight <> 0 AND (role = 'prompt' OR (role = 'end' AND NOT closes))) AS leaks,
    count(*) FILTER (weight = 0 AND (role = 'prompt' OR (role = 'end' AND NOT closes))) AS hidden,
    count(*) FILTER (weight <> 0 AND (role = 'answer' OR closes)) AS answers,
    count(*) FILTER (weight = 0 AND (role = 'answer' OR closes)) AS untold,
    max(position) FILTER (role = 'prompt') < min(position) FILTER (role = 'answer' OR closes) AS single
FROM taught(b) GROUP BY process, step, forward, line;

-- Does anything that the program passed, wrote or read say that prompts are masked? mask-prompt and maskPrompt are meant as mask_prompt is.
CREATE OR REPLACE MACRO says_masked(b) AS (
    SELECT (SELECT coalesce(bool_or((events.detail->'declared'->>'mask_prompt')::BOOLEAN), false) FROM events WHERE events.run = run_of(b) AND events.kind = 'train')
        OR (SELECT coalesce(bool_or(
            (regexp_matches(lower(translate(configs.key, '-_', '')), '(^|\.)(maskprompt|maskinputs?|completiononlyloss|assistantonlyloss|trainoncompletions|trainonresponsesonly)$')
                AND configs.value = 'true')
            OR (regexp_matches(lower(translate(configs.key, '-_', '')), '(^|\.)(trainoninputs?|trainonprompt)$') AND configs.value = 'false')), false)
            FROM configs WHERE configs.capture = run_of(b) OR configs.capture IN (SELECT captures.capture FROM captures WHERE captures.run = run_of(b)))
);
