-- What was computed already when each point of a run came, and whether computing the rest changed an answer.
--
-- params:  a
-- example: forensics query evaluation night
select
    c.capture,
    c.point,
    c.model,
    c.updates,
    count(p.name) as parameters,
    count(*) filter (p.evaluated) as computed,
    count(*) filter (not p.evaluated) as not_computed,
    count(*) filter (p.evaluated is null and p.name is not null) as not_looked,
    (select bool_and(state_evaluated) from optimizers o where o.capture = c.capture) as state_computed,
    (c.pending ->> 'operations')::bigint as operations,
    (c.pending ->> 'difference')::double as difference,
    (c.pending ->> 'scale')::double as scale
from captures c
left join placements p on p.capture = c.capture and p.role <> 'optimizer'
where c.run = run_of(a) and c.source = 'live'
group by all
order by max(c.sequence), c.capture
