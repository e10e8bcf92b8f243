-- Models whose adapters all stand in another model that is judged, as those of a model within a wrapper do: they count there.
--
-- params: a, b
-- reads:  spans
WITH f AS MATERIALIZED (SELECT s.model, p.name, p.digest FROM placements p JOIN spans s ON p.capture = s.y WHERE adapter_role(p.role))
SELECT f.model FROM f LEFT JOIN f o ON o.digest = f.digest AND o.model <> f.model AND ends_with(o.name, '.' || f.name)
GROUP BY f.model HAVING bool_and(o.name IS NOT NULL)
