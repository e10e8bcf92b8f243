-- What the program did, in order, with the line that did it.
--
-- params:  a
-- example: forensics query training-events night
select sequence, round(time, 2) as seconds, process, kind, model, place, detail
from events
where run = run_of(a)
order by sequence
