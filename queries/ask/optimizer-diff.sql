-- In what the optimizers of two captures differ.
--
-- params:  a, b
-- example: forensics query optimizer-diff night@start night@end
WITH x AS (SELECT * FROM optimizers WHERE capture = capture_of(a)),
y AS (SELECT * FROM optimizers WHERE capture = capture_of(b)),
pairs AS (
    SELECT unnest([
        {'key': 'class', 'in_a': x.class, 'in_b': y.class},
        {'key': 'step', 'in_a': CAST(x.step AS VARCHAR), 'in_b': CAST(y.step AS VARCHAR)},
        {'key': 'learning_rate', 'in_a': printf('%.6g', x.learning_rate), 'in_b': printf('%.6g', y.learning_rate)},
        {'key': 'settings', 'in_a': x.settings, 'in_b': y.settings},
        {'key': 'state_tensors', 'in_a': CAST(x.state_tensors AS VARCHAR), 'in_b': CAST(y.state_tensors AS VARCHAR)},
        {'key': 'state_l2', 'in_a': printf('%.6g', x.state_l2), 'in_b': printf('%.6g', y.state_l2)}
    ]) AS fact
    FROM x FULL JOIN y ON x.optimizer = y.optimizer
)
SELECT DISTINCT fact.key AS key, fact.in_a AS in_a, fact.in_b AS in_b
FROM pairs
WHERE fact.in_a IS DISTINCT FROM fact.in_b
    -- only a live model in the process that trains it has one that could be seen
    AND NOT EXISTS (SELECT 1 FROM captures WHERE capture IN (capture_of(a), capture_of(b)) AND source IN ('file', 'reload'))
ORDER BY key, in_a, in_b
