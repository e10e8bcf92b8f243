-- The two records were made in different environments.
--
-- severity:   info
-- role:       cause
-- confidence: certain
-- claim:      {n} of {looked} parts of the environment differ; first {subject}: {observed}, {expected}
-- before.
-- clean:      the environment ({looked:part is|parts are} the same)
-- needs:
-- nothing:    the environment of two records
-- harmless:   a change of version explains a change of numbers only where both were trained or asked
-- alike
select
    coalesce(x.key, y.key) as subject,
    coalesce(y.value, 'absent') as observed,
    coalesce(x.value, 'absent') as expected,
    x.value is distinct from y.value as fault
from
    (
        select key, any_value(value) as value
        from environment
        where capture in (capture_of(a), run_of(a))
        group by key
    ) x
full join
    (
        select key, any_value(value) as value
        from environment
        where capture in (capture_of(b), run_of(b))
        group by key
    ) y
    on x.key = y.key
where
    -- a model at rest has no device
    ((x.value is not null and y.value is not null) or watched(a) = watched(b))
    and exists (select 1 from environment where capture in (capture_of(a), run_of(a)))
    and exists (select 1 from environment where capture in (capture_of(b), run_of(b)))
order by subject
