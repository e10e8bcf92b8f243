-- The same of every model that was judged, at its end.
--
-- params: a, b
-- reads:  spans
SELECT s.model, s.y AS capture, x.canonical, any_value(x.module) AS module, any_value(x.layer) AS layer, max(x.rank) AS rank,
    max(x.scale) FILTER (x.rank IS NOT NULL) AS scale, max(x.adapters) AS adapters
FROM modules x JOIN spans s ON x.capture = s.y WHERE x.kind IN ('adapter', 'dora')
GROUP BY s.model, s.y, x.canonical HAVING max(x.adapters) > 0
