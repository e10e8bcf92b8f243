-- What the loss taught, position by position, of the model that a ref means.

-- Where the gradient is asked for, else where the trainer is called: the place to look for what it is of.
CREATE OR REPLACE MACRO gradient_place(b) AS (
    SELECT coalesce(
        min_by(events.place, events.sequence) FILTER (events.kind = 'grad' AND events.model = model_of(b)),
        min_by(events.place, events.sequence) FILTER (events.kind = 'train'),
        min_by(events.place, events.sequence) FILTER (events.kind = 'grad'))
    FROM events WHERE events.run = run_of(b)
);

-- Where the program's own function returns the loss, else where its gradient is asked for.
CREATE OR REPLACE MACRO loss_place(b) AS (
    SELECT coalesce(
        min_by(events.place, events.sequence) FILTER (events.kind = 'loss' AND events.model = model_of(b)),
        gradient_place(b))
    FROM events WHERE events.run = run_of(b)
);

-- Where the program encodes its training rows, else where the gradient of the loss is asked for.
CREATE OR REPLACE MACRO rows_place(b) AS (
    SELECT coalesce(
        min_by(events.place, events.sequence) FILTER (events.kind = 'encode' AND events.model = model_of(b)),
        gradient_place(b))
    FROM events WHERE events.run = run_of(b)
);

-- Where the program makes the optimizer of the model that b means, else where it updates.
CREATE OR REPLACE MACRO optimizer_place(b) AS (
    SELECT coalesce(
        min_by(events.place, events.sequence) FILTER (events.kind = 'optimizer' AND events.model = model_of(b)),
        min_by(events.place, events.sequence) FILTER (events.kind = 'update' AND events.model = model_of(b)),
        min_by(events.place, events.sequence) FILTER (events.kind IN ('update', 'train')))
    FROM events WHERE events.run = run_of(b)
);

-- A share in words: percent with two digits, never 0 where there is something.
CREATE OR REPLACE MACRO percent(x) AS (
    CASE WHEN x IS NULL THEN 'not measured'
        WHEN x = 0 THEN '0 %'
        WHEN x < 0.001 THEN 'under 0.1 %'
        WHEN x < 0.0995 THEN printf('%.1f %%', 100 * x)
        ELSE printf('%.0f %%', 100 * x) END
);

-- A number of things: 1 step, 2,000 steps.
CREATE OR REPLACE MACRO counted(n, what) AS
    printf('%,d %s', n::BIGINT, what || CASE WHEN n = 1 THEN '' ELSE 's' END);

-- Numbers in words: three digits.
CREATE OR REPLACE MACRO brief(x) AS (
    CASE WHEN x IS NULL THEN 'not measured' ELSE printf('%.3g', x::DOUBLE) END
);

-- Does anything that the program passed, wrote or read say that prompts are masked? mask-prompt and
-- maskPrompt are meant as mask_prompt is.
CREATE OR REPLACE MACRO says_masked(b) AS (
    SELECT (
        SELECT coalesce(bool_or((events.detail->'declared'->>'mask_prompt')::BOOLEAN), false)
        FROM events WHERE events.run = run_of(b) AND events.kind = 'train'
    ) OR (
        SELECT coalesce(bool_or(
            (regexp_matches(lower(translate(configs.key, '-_', '')), '(^|\.)(maskprompt|maskinputs?)$')
                AND configs.value = 'true')
            OR (regexp_matches(lower(translate(configs.key, '-_', '')),
                    '(^|\.)(completiononlyloss|assistantonlyloss|trainoncompletions|trainonresponsesonly)$')
                AND configs.value = 'true')
            OR (regexp_matches(lower(translate(configs.key, '-_', '')),
                    '(^|\.)(trainoninputs?|trainonprompt)$')
                AND configs.value = 'false')
        ), false)
        FROM configs WHERE configs.capture = run_of(b)
            OR configs.capture IN (SELECT captures.capture FROM captures WHERE captures.run = run_of(b))
    )
);
