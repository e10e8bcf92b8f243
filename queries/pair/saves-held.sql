-- Saves of the model that b means (its own arrays, or arrays of nobody), each held against what training
-- moved, by what lies on disk, else by what
-- was handed over. `updates`: of that model at the time; `total`: at the end.
--
-- params: a, b
-- reads:  own_moves
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    m as materialized(select * from own_moves),
    total as (select count(*) filter (changed) as moved from m),
    main as (select any_value(x.updates) as updates from models x join k using (run, model))
select
    s.process,
    s.save,
    any_value(s.file) as file,
    any_value(s.model) as model,
    any_value(s.place) as place,
    any_value(s.updates) as updates,
    any_value(main.updates) as total,
    count(s.name) as names,
    any_value(total.moved) as moved,
    count(m.canonical) filter (m.changed) as present,
    count(*) filter (m.changed and coalesce(s.digest_on_disk, s.digest) = m.digest_b) as after,
    count(*) filter (m.changed and coalesce(s.digest_on_disk, s.digest) = m.digest_a) as before
from saved_tensors s
join k on s.run = k.run
cross join total
cross join main
left join m on m.canonical = s.canonical
where s.model is null or s.model = k.model
group by s.process, s.save
