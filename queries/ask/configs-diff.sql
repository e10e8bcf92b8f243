-- Settings of model, tokenizer, template, generation and adapter that differ between two captures.
--
-- params:  a, b
-- example: forensics query configs-diff ./base ./trained
WITH x AS (SELECT kind, key, any_value(value) AS value FROM configs WHERE capture = capture_of(a) GROUP BY kind, key),
y AS (SELECT kind, key, any_value(value) AS value FROM configs WHERE capture = capture_of(b) GROUP BY kind, key),
keys AS (
    SELECT (SELECT max(greatest(key_of(key), key_of(value))) FROM x) AS in_x, (SELECT max(greatest(key_of(key), key_of(value))) FROM y) AS in_y
), told AS (
    SELECT coalesce(x.kind, y.kind) AS kind, coalesce(x.key, y.key) AS key, x.value AS in_a, y.value AS in_b
    FROM x FULL JOIN y ON x.kind = y.kind AND x.key = y.key
), kinds AS (  -- a loaded tokenizer says more than its files, and each format has its own keys: where only one side has such a mark, they tell in two ways
    SELECT kind, bool_or(kind || '.' || key IN ('tokenizer.class', 'tokenizer.digest', 'model.general.architecture', 'adapter.peft_type')
        AND (nullif(in_a, 'null') IS NULL) <> (nullif(in_b, 'null') IS NULL)) AS two_ways
    FROM told GROUP BY kind HAVING count(in_a) > 0 AND count(in_b) > 0
)
SELECT kind, key, in_a, in_b
FROM told JOIN kinds USING (kind), keys
WHERE differ(in_a, in_b) AND NOT (key_of(key) <> '' AND apart(in_x, in_y))
    -- what one side says and the other never does is no difference; all say which tokens were added, and what the template is
    AND (NOT two_ways OR (in_a <> 'null' AND in_b <> 'null') OR (kind = 'tokenizer' AND (key LIKE 'added_tokens.%' OR key = 'template_digest')))
ORDER BY 1, 2
