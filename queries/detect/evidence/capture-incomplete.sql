-- Something that should have been recorded is missing.
--
-- severity:   info
-- role:       cause
-- confidence: certain
-- claim:      {n:thing was|things were} not recorded; first: {observed}.
-- clean:      the record (complete)
-- nothing:    a watched run
-- fix:        capture the run again; what is missing and why stands in forensics show
with
    said as (
        select run as subject, complete, missing
        from runs
        where run = run_of(b) and coalesce(kind, 'watched') = 'watched'
        union all
        select capture, complete, missing
        from captures
        where run = run_of(b) and watched(b)
    ),
    one as (
        select
            subject,
            complete,
            unnest(
                coalesce(nullif(from_json(missing, '[{"what": "VARCHAR", "why": "VARCHAR"}]'), []), [null])
            ) as gap
        from said
    )
select
    subject,
    coalesce(
        gap.what || ': ' || gap.why, case when complete then 'complete' else 'incomplete' end
    ) as observed,
    'complete' as expected,
    gap is not null or not coalesce(complete, true) as fault
from one
order by subject, observed
