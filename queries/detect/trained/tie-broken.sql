-- The head and the embedding were one, and are two.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, adapter-not-loaded
-- claim:      {subject}: {observed}, though {expected}.
-- clean:      the tie of head and embedding ({observed})
-- needs:      parameters
-- reads:      spans
-- nothing:    a head that is tied to the embedding
-- fix:        use the embedding itself as the head (embedding.as_linear(x)); two names for one array part at the first update
-- harmless:   a head that was made a matrix of its own on purpose, with a saved configuration that says so
-- fires on:   zoo/untied-scratch, zoo/untied-full
-- silent on:  zoo/healthy-tied
WITH e AS MATERIALIZED (SELECT DISTINCT model, x, y FROM spans),
said AS (
    SELECT bool_or(value = 'true') FILTER (c.capture IN (SELECT unnest([x, y]) FROM e)) AS tied,
        max_by(value = 'false', coalesce(k.sequence, 0)) FILTER (k.point IN ('end', 'saved')) AS untied  -- what was saved says so
    FROM configs c LEFT JOIN captures k ON k.capture = c.capture
    WHERE c.kind = 'model' AND ends_with(c.key, 'tie_word_embeddings') AND (k.run = run_of(b) OR c.capture IN (SELECT unnest([x, y]) FROM e))
), t AS (
    SELECT e.model, p.capture = e.y AS last, any_value(p.name) FILTER (p.role = 'head') AS head, any_value(p.name) FILTER (p.role = 'embedding') AS embedding,
        any_value(p.digest) FILTER (p.role = 'head' AND p.leaf = 'weight') AS h, list(p.digest) FILTER (p.role = 'embedding' AND p.leaf = 'weight') AS es,
        any_value(p.shared_with) FILTER (p.role = 'head') AS shared
    FROM placements p JOIN e ON p.capture IN (e.x, e.y) WHERE p.role IN ('head', 'embedding') GROUP BY e.model, p.capture = e.y
), j AS (
    SELECT z.model, z.head, z.embedding, z.h AS h, z.es AS es, w.h IS NOT NULL AND list_contains(w.es, w.h) AS one_before, said.tied, coalesce(said.untied, false) AS untied
    FROM t z LEFT JOIN t w ON w.model IS NOT DISTINCT FROM z.model AND NOT w.last, said WHERE z.last
)
SELECT coalesce(head, embedding) AS subject,
    CASE WHEN h IS NULL THEN 'the embedding serves as the head' WHEN list_contains(es, h) THEN 'both are equal' ELSE 'it differs from ' || embedding END AS observed,
    CASE WHEN one_before THEN 'both were one array before training' ELSE 'the model''s configuration says tie_word_embeddings' END AS expected,
    h IS NOT NULL AND es IS NOT NULL AND NOT list_contains(es, h) AND NOT untied AS fault,
    (SELECT any_value(place) FROM events WHERE run = run_of(b) AND kind = 'update') AS place
FROM j WHERE (one_before OR coalesce(tied, false)) AND es IS NOT NULL
ORDER BY fault DESC, subject
