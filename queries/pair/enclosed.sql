-- Models whose adapters all stand in another model that is judged, as those of a model within
-- a wrapper do: they count there.
--
-- params: a, b
-- reads:  spans
with
    f as materialized(
        select s.model, p.name, p.digest
        from placements p
        join spans s on p.capture = s.y
        where adapter_role(p.role)
    )
select f.model
from f
left join f o on o.digest = f.digest and o.model <> f.model and ends_with(o.name, '.' || f.name)
group by f.model
having bool_and(o.name is not null)
