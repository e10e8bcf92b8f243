-- What adapter the program asked for, and what adapter each capture has.
--
-- params:  a
-- example: forensics query adapter-declared-and-observed night
select
    origin,
    coalesce(capture, run) as subject,
    via,
    kind,
    rank,
    scale,
    alpha,
    dropout,
    num_layers,
    keys,
    modules,
    strength,
    place
from adapters
where run = run_of(a)
order by origin, subject, via
