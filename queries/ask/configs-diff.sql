-- Settings of model, tokenizer, template, generation and adapter that differ between two captures.
--
-- params:  a, b
-- example: forensics query configs-diff ./base ./trained
WITH x AS (SELECT kind, key, any_value(value) AS value FROM configs WHERE capture = capture_of(a) GROUP BY kind, key),
y AS (SELECT kind, key, any_value(value) AS value FROM configs WHERE capture = capture_of(b) GROUP BY kind, key),
keys AS (
    SELECT (SELECT max(greatest(key_of(key), key_of(value))) FROM x) AS in_x, (SELECT max(greatest(key_of(key), key_of(value))) FROM y) AS in_y
), kinds AS (SELECT DISTINCT x.kind FROM x JOIN y ON x.kind = y.kind)
SELECT coalesce(x.kind, y.kind) AS kind, coalesce(x.key, y.key) AS key, x.value AS in_a, y.value AS in_b
FROM x FULL JOIN y ON x.kind = y.kind AND x.key = y.key, keys
WHERE differ(x.value, y.value) AND coalesce(x.kind, y.kind) IN (SELECT kind FROM kinds)
    AND NOT (key_of(coalesce(x.key, y.key)) <> '' AND apart(in_x, in_y))
ORDER BY 1, 2
