-- The same of every model that was judged, at its end.
--
-- params: a, b
-- reads:  spans
select
    s.model,
    s.y as capture,
    x.canonical,
    any_value(x.module) as module,
    any_value(x.layer) as layer,
    max(x.rank) as rank,
    max(x.scale) filter (x.rank is not null) as scale,
    max(x.adapters) as adapters
from modules x
join spans s on x.capture = s.y
where x.kind in ('adapter', 'dora')
group by s.model, s.y, x.canonical
having max(x.adapters) > 0
