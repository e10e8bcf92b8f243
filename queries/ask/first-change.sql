-- At which capture of a run each parameter first differed from the run's first capture, and first held a
-- number that is none.
--
-- params:  a
-- example: forensics query first-change night
with
    seen as (
        select
            p.canonical,
            c.capture,
            c.point,
            c.sequence,
            c.updates,
            p.digest,
            coalesce(p.nans, 0) + coalesce(p.infs, 0) as nonfinite,
            first_value(p.digest) over (partition by p.canonical order by c.sequence) as first_digest
        from parameters p
        join captures c on c.capture = p.capture
        where
            c.run = run_of(a)
            and c.model = model_of(a)
            and c.source = 'live'
            and p.role is distinct from 'optimizer'
            and p.shared_with is null
    )
select
    canonical as name,
    min_by(point, sequence) filter (digest <> first_digest) as first_changed,
    min_by(updates, sequence) filter (digest <> first_digest) as after_updates,
    min_by(point, sequence) filter (nonfinite > 0) as first_not_finite
from seen
group by canonical
having first_changed is not null or first_not_finite is not null
order by min(sequence) filter (digest <> first_digest), name
