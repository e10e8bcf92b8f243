-- Files that were written at each change of the best value that the program keeps, from elsewhere once more
-- later, and not when it measured in between: what lies there is the last state, not the best. `best_at`: the
-- update after which the best changed last, `updates`: that of what was written at last.
--
-- params: b, often = 2
-- numbers: often - changes of the best at which the file was written, so that it is no chance
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    writes as materialized(
        select
            t.save,
            any_value(t.file) as file,
            any_value(t.updates) as updates,
            any_value(t.place) as place,
            -- saves of one name that have the same bytes on disk were written to one place
            any_value(t.file) || coalesce(string_agg(t.digest_on_disk, ' ' order by t.name), '') as lies
        from saved_tensors t
        join k using (run, model)
        group by t.save
    ),
    last as (select lies, max(save) as save from writes group by lies),
    before as (
        select w.lies, list(distinct w.updates order by w.updates) as points, max_by(w.place, w.save) as place
        from writes w
        join last on last.lies = w.lies and w.save < last.save
        group by w.lies
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
join last using (lies, save)
join before using (lies)
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
