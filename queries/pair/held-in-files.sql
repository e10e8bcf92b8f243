-- Each capture beside each file that the program wrote of the model that b means: does it hold what the
-- file holds of what training moved? `sequence`: of the save, in the order of events; `updates`: after
-- which it was written.
--
-- params: a, b
-- reads:  held_against, learned_values
select
    h.capture,
    s.process,
    s.save,
    any_value(s.file) as file,
    any_value(s.updates) as updates,
    any_value(e.sequence) as sequence,
    any_value(e.place) as place,
    count(*) filter (s.digest = p.digest) = h.present as same
from held_against h
join placements p on p.capture = h.capture
join learned_values l on l.canonical = p.canonical
join saved_tensors s on s.run = run_of(b) and s.model = model_of(b) and s.canonical = p.canonical
join
    events e
    on e.run = s.run
    and e.kind = 'save'
    and e.process = s.process
    and (e.detail ->> 'save')::integer = s.save
where h.present > 0 and h.before < h.present
group by h.capture, h.present, s.process, s.save
