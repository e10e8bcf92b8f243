-- In what the adapters of two captures differ.
--
-- params:  a, b
-- example: forensics query adapter-diff night@start night@reloaded
WITH x AS (SELECT * FROM adapters WHERE capture = capture_of(a) AND origin = 'observed'),
y AS (SELECT * FROM adapters WHERE capture = capture_of(b) AND origin = 'observed'),
pairs AS (
    SELECT unnest([
        {'key': 'kind', 'in_a': x.kind, 'in_b': y.kind},
        {'key': 'rank', 'in_a': CAST(x.rank AS VARCHAR), 'in_b': CAST(y.rank AS VARCHAR)},
        {'key': 'scale', 'in_a': CAST(x.scale AS VARCHAR), 'in_b': CAST(y.scale AS VARCHAR)},
        {'key': 'dropout', 'in_a': CAST(x.dropout AS VARCHAR), 'in_b': CAST(y.dropout AS VARCHAR)},
        {'key': 'num_layers', 'in_a': CAST(x.num_layers AS VARCHAR), 'in_b': CAST(y.num_layers AS VARCHAR)},
        {'key': 'modules', 'in_a': CAST(x.modules AS VARCHAR), 'in_b': CAST(y.modules AS VARCHAR)},
        {'key': 'keys', 'in_a': x.keys, 'in_b': y.keys}
    ]) AS fact
    FROM x FULL JOIN y ON true
)
SELECT DISTINCT fact.key AS key, fact.in_a AS in_a, fact.in_b AS in_b
FROM pairs
WHERE fact.in_a IS DISTINCT FROM fact.in_b
    -- of two adapters, what is not known of one is no difference
    AND ((fact.in_a IS NOT NULL AND fact.in_b IS NOT NULL) OR NOT EXISTS (SELECT 1 FROM x) OR NOT EXISTS (SELECT 1 FROM y))
ORDER BY key, in_a, in_b
