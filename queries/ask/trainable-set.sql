-- Which parameters a run could move, and which did move by the capture.
--
-- params:  a
-- beside:  role, trainable
-- example: forensics query trainable-set night
select
    p.role,
    coalesce(s.trainable, p.trainable) as trainable,
    count(*) as tensors,
    sum(p.size) as elements,
    count(*) filter (f.digest <> p.digest) as moved
from parameters p
left join
    parameters s on s.capture = at_point(a, 'start') and s.canonical = p.canonical and s.shared_with is null
left join
    parameters f
    on f.capture = coalesce(at_point(a, 'start'), first_of(a))
    and f.canonical = p.canonical
    and f.shared_with is null
where p.capture = capture_of(a) and p.role is distinct from 'optimizer' and p.shared_with is null
group by all
order by p.role, 2
