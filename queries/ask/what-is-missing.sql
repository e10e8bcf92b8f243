-- What could not be recorded, and why.
--
-- params:  a
-- example: forensics query what-is-missing night
with
    said as (
        select run as subject, missing
        from runs
        where run = run_of(a)
        union all
        select capture, missing
        from captures
        where run = run_of(a)
    ),
    gaps as (
        select subject, unnest(from_json(missing, '[{"what": "VARCHAR", "why": "VARCHAR"}]')) as gap
        from said
        union all
        select capture, {'what':name, 'why':error}
        from placements
        where capture = capture_of(a) and error is not null
    )
select subject, gap.what as what, gap.why as why
from gaps
order by subject, what, why
