-- Each number that the program keeps as the best of what it measures, at the end: `value` (NULL: infinite),
-- `changed`: the update after which it changed last, NULL where that is not known. Beside it what was
-- measured under the one name whose values it has, or, where it has none, under the only name there is:
-- `least`, `most`, at which updates (`least_at`), and how often (`n`); `of_them`: it is one of these
-- values. `lower`: a name says that less is better.
--
-- params: b
with
    m as materialized(
        select
            sequence,
            detail ->> 'name' as name,
            (detail ->> 'value')::double as value,
            (detail ->> 'best')::boolean as best,
            (detail ->> 'lower')::boolean as lower,
            (detail ->> 'updates')::bigint as updates
        from events
        where run = run_of(b) and kind = 'measure'
    ),
    kept as (
        select
            name,
            first(value order by sequence desc) as value,
            first(updates order by sequence desc) as changed,
            coalesce(bool_or(lower), false) as lower
        from m
        where best
        group by name
    ),
    series as (
        select
            name,
            list(value) as own,
            min(value) as least,
            max(value) as most,
            arg_min(updates, value) as least_at,
            count(distinct updates) as n,
            coalesce(bool_or(lower), false) as lower,
            count(*) over () as names
        from m
        where not best and value is not null and updates > 0
        group by name
    )
select
    k.name,
    k.value,
    k.changed,
    k.lower or coalesce(s.lower, false) as lower,
    s.least,
    s.most,
    s.least_at,
    coalesce(s.n, 0) as n,
    coalesce(list_contains(s.own, k.value), false) as of_them
from kept k
left join series s on list_contains(s.own, k.value) or s.names = 1
qualify row_number() over (partition by k.name order by list_contains(s.own, k.value) desc, s.name) = 1
