-- Training and generation use tokenizers that cut text differently.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   token-id-out-of-range, template-mismatch, generation-collapse, score-dropped, output-unchanged
-- claim:      The tokenizer of {subject} has {observed}; that of training has {expected}.
-- clean:      the tokenizer (the same {observed} in {looked:capture|captures})
-- rules out:  template-mismatch, double-bos
-- needs:
-- nothing:    the tokenizers of two captures
-- fix:        load the tokenizer from the directory that the training run saved or read, without added tokens
-- fires on:   zoo/words-added, zoo/words-special
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
WITH k AS MATERIALIZED (SELECT run_of(b) AS run, began(a, b) AS first), facts AS (
    SELECT c.capture, any_value(c.model) AS model, any_value(c.sequence) AS sequence, any_value(c.place) AS place,
        max(f.value::BIGINT) FILTER (f.key = 'vocab_size') AS tokens, count(*) FILTER (f.key LIKE 'added_tokens.%') AS added,
        string_agg(f.key || '=' || f.value, ',' ORDER BY f.key) FILTER (f.key LIKE 'added_tokens.%') AS which
    FROM captures c JOIN configs f ON f.capture = c.capture
    WHERE f.kind = 'tokenizer' AND (f.key = 'vocab_size' OR f.key LIKE 'added_tokens.%') AND (f.key <> 'vocab_size' OR f.value <> 'null') GROUP BY c.capture
), reference AS (SELECT f.* FROM facts f JOIN k ON f.capture = k.first), used AS (
    SELECT DISTINCT capture FROM generations JOIN k USING (run)
    UNION SELECT c.capture FROM captures c JOIN k ON c.run = k.run WHERE c.point IN ('reloaded', 'saved', 'end')
    UNION SELECT capture_of(b)
)
SELECT f.capture AS subject,
    f.tokens || ' tokens, ' || f.added || ' of them added' || CASE WHEN f.tokens = r.tokens AND f.added = r.added AND differ(f.which, r.which) THEN ' (others)' ELSE '' END AS observed,
    r.tokens || ' tokens, ' || r.added || ' of them added' AS expected,
    f.tokens IS DISTINCT FROM r.tokens OR differ(f.which, r.which) AS fault, f.place
FROM facts f JOIN used USING (capture), reference r WHERE f.capture <> r.capture
UNION ALL
SELECT 'generation ' || g.generation, (g.settings->>'vocabulary') || ' tokens', r.tokens || ' tokens', (g.settings->>'vocabulary')::BIGINT <> r.tokens, g.place
FROM generations g JOIN k ON g.run = k.run, reference r WHERE g.settings->>'vocabulary' IS NOT NULL
ORDER BY fault DESC, subject
