-- Tensors that the program made itself, as a head is: those that came after their model was first seen, and, where most of a model is one
-- that a loader brought, those that no such model holds. Adapters aside.
--
-- params: b
WITH firsts AS MATERIALIZED (
    SELECT c.capture, c.model, EXISTS (FROM events e WHERE e.run = c.run AND e.model = c.model AND e.kind = 'load' AND e.detail->>'what' = 'model') AS brought
    FROM captures c WHERE c.run = run_of(b) AND c.point = 'loaded'
), brought AS MATERIALIZED (
    SELECT p.canonical, p.digest FROM placements p JOIN firsts USING (capture) WHERE firsts.brought
), paths AS (  -- of a.b.c: a.b.c, b.c, c
    SELECT firsts.model, p.canonical, p.digest, string_split(p.canonical, '.') AS parts,
        unnest([array_to_string(parts[i:], '.') FOR i IN range(1, len(parts) + 1)]) AS path
    FROM placements p JOIN firsts USING (capture) WHERE NOT firsts.brought AND NOT adapter_role(p.role)
), around AS (
    SELECT model, canonical, bool_or(path IN (SELECT canonical FROM brought) OR digest IN (SELECT digest FROM brought WHERE digest IS NOT NULL)) AS inside
    FROM paths GROUP BY model, canonical
)
SELECT model, canonical FROM around WHERE inside IS DISTINCT FROM true
    AND model IN (SELECT model FROM around GROUP BY model HAVING 2 * count(*) FILTER (inside) > count(*))
UNION
SELECT c.model, p.canonical FROM placements p JOIN captures c USING (capture) JOIN firsts USING (model)
WHERE c.run = run_of(b) AND c.point = 'start' AND NOT adapter_role(p.role) AND p.role <> 'optimizer'
    AND NOT EXISTS (FROM placements q WHERE q.capture = firsts.capture AND q.canonical = p.canonical)
