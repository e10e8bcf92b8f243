-- A model that was updated and then neither saved nor asked, though a twin of it was, which no update and no
-- write reached. One row, of NULLs where there is none. What was loaded since is no twin that should have
-- been updated, and a running average moves without an update.
--
-- params: a, b
-- reads:  held_against
with k as materialized(select run_of(b) as run)
select
    any_value(x.model) as model,
    any_value(y.model) as kept,
    sum(x.updates) as updates,
    bool_or(y.saves > 0) as saved
from models x
join k on x.run = k.run
join
    models y
    on y.run = x.run
    and y.model <> x.model
    and y.class is not distinct from x.class
    and y.parameters = x.parameters
where
    x.updates > 0
    and x.saves = 0
    and x.generations = 0
    and y.updates = 0
    and y.writes = 0
    and not exists (select 1 from held_against h where h.model = y.model and h.present > 0 and h.before = 0)
    and (
        y.saves > 0
        or (
            not exists (select 1 from models z where z.run = x.run and z.saves > 0)
            and not exists (
                select 1
                from events l
                join events u on u.run = l.run and u.kind = 'update' and u.sequence < l.sequence
                where
                    l.run = x.run
                    and l.kind = 'load'
                    and l.model = y.model
                    and l.detail ->> 'via' is distinct from 'reload'
            )
            and exists (
                select 1
                from events g
                join events u on u.run = g.run and u.kind = 'update' and u.sequence < g.sequence
                where g.run = x.run and g.kind = 'generate' and g.model = y.model
            )
        )
    )
