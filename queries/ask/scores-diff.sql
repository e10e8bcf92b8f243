-- Scores of the same answers that differ between two captures.
--
-- params:  a, b
-- example: forensics query scores-diff night
with
    x as (select * from scores where capture in (capture_of(a), probes_at(a))),
    y as (select * from scores where capture in (capture_of(b), probes_at(b)))
select distinct x.prompt_id, x.scorer, x.key, x.value as in_a, y.value as in_b
from x
join y on x.prompt_id = y.prompt_id and x.scorer = y.scorer and x.key is not distinct from y.key
where x.value is distinct from y.value
order by x.scorer, x.key, x.prompt_id
