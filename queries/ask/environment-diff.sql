-- What differs between the environments of two captures.
--
-- params:  a, b
-- example: forensics query environment-diff night other
with
    x as (
        select key, any_value(value) as value
        from environment
        where capture in (capture_of(a), run_of(a))
        group by key
    ),
    y as (
        select key, any_value(value) as value
        from environment
        where capture in (capture_of(b), run_of(b))
        group by key
    )
select coalesce(x.key, y.key) as key, x.value as in_a, y.value as in_b
from x
full join y on x.key = y.key
where
    differ(x.value, y.value)
    and exists (select 1 from x)
    and exists (select 1 from y)
    -- a model at rest has no device
    and ((x.value is not null and y.value is not null) or watched(a) = watched(b))
order by 1
