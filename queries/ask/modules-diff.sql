-- In what the modules of two captures differ: class, mode, and the numbers of adapters.
--
-- params:  a, b
-- example: forensics query modules-diff night@loaded night@end
WITH x AS (
    SELECT module, canonical, class, CAST(training AS VARCHAR) AS training, CAST(rank AS VARCHAR) AS rank, CAST(scale AS VARCHAR) AS scale,
        CAST(dropout AS VARCHAR) AS dropout, CAST(adapters AS VARCHAR) AS adapters
    FROM modules WHERE capture = capture_of(a)
), y AS (
    SELECT module, canonical, class, CAST(training AS VARCHAR) AS training, CAST(rank AS VARCHAR) AS rank, CAST(scale AS VARCHAR) AS scale,
        CAST(dropout AS VARCHAR) AS dropout, CAST(adapters AS VARCHAR) AS adapters
    FROM modules WHERE capture = capture_of(b)
), pairs AS (
    SELECT coalesce(x.module, y.module) AS module, unnest([
        {'key': 'class', 'in_a': x.class, 'in_b': y.class}, {'key': 'training', 'in_a': x.training, 'in_b': y.training},
        {'key': 'rank', 'in_a': x.rank, 'in_b': y.rank}, {'key': 'scale', 'in_a': x.scale, 'in_b': y.scale},
        {'key': 'dropout', 'in_a': x.dropout, 'in_b': y.dropout}, {'key': 'adapters', 'in_a': x.adapters, 'in_b': y.adapters}
    ]) AS fact, x.module IS NULL OR y.module IS NULL AS alone
    FROM x FULL JOIN y ON x.module = y.module
    -- what an adapter wraps is a module of its own, and nobody put it there
    WHERE coalesce(x.module = x.canonical, true) AND coalesce(y.module = y.canonical, true)
      AND EXISTS (SELECT 1 FROM x) AND EXISTS (SELECT 1 FROM y)
), k AS MATERIALIZED (SELECT from_file(a) = from_file(b) AS alike)
SELECT module, fact.key AS key, fact.in_a AS in_a, fact.in_b AS in_b
FROM pairs, k
WHERE fact.in_a IS DISTINCT FROM fact.in_b AND (NOT alone OR fact.key = 'class')
    -- of a file and a live model, what one does not say is no difference; both say where adapters stand, and of which rank
    AND (alike OR (fact.in_a IS NOT NULL AND fact.in_b IS NOT NULL) OR (fact.key = 'rank' AND NOT alone))
ORDER BY module, key
