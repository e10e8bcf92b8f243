-- Files that were written at each change of the best value that the program keeps, from elsewhere once more
-- later, and not when it measured in between: what lies there is the last state, not the best. `best_at`: the
-- update after which the best changed last, `updates`: that of what was written at last.
--
-- params: b, often = 2
-- numbers: often - changes of the best at which the file was written, so that it is no chance
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    writes as materialized(
        select distinct t.save, t.path, t.file, t.updates, t.place
        from saved_tensors t
        join k using (run, model)
    ),
    last as (select path, max(save) as save from writes group by path),
    before as (
        select w.path, list(distinct w.updates order by w.updates) as points, max_by(w.place, w.save) as place
        from writes w
        join last on last.path = w.path and w.save < last.save
        group by w.path
    ),
    changes as (
        select
            detail ->> 'name' as name,
            list(distinct(detail ->> 'updates')::bigint order by (detail ->> 'updates')::bigint) as points
        from events
        where
            run = run_of(b)
            and kind = 'measure'
            and (detail ->> 'best')::boolean
            and detail ->> 'updates' is not null
        group by name
    )
select w.file, w.updates, w.place, list_max(before.points) as best_at, changes.name
from writes w
join last using (path, save)
join before using (path)
join changes using (points)
where
    len(before.points) >= often
    and w.updates > best_at
    and w.place is distinct from before.place
    and exists (
        from steps s
        join k using (run, model)
        where s.outside_forwards > 0 and s.step > best_at + 1 and s.step <= w.updates
    )
