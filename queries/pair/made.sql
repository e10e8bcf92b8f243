-- Tensors that the program made itself, as a head is: those that came after their model was first seen,
-- and, where most of a model is one
-- that a loader brought, those that no such model holds. Adapters aside.
--
-- params: b
with
    firsts as materialized(
        select
            c.capture,
            c.model,
            exists (
                from events e
                where
                    e.run = c.run and e.model = c.model and e.kind = 'load' and e.detail ->> 'what' = 'model'
            ) as brought
        from captures c
        where c.run = run_of(b) and c.point = 'loaded'
    ),
    brought as materialized(
        select p.canonical, p.digest from placements p join firsts using (capture) where firsts.brought
    ),
    paths as (  -- of a.b.c: a.b.c, b.c, c
        select
            firsts.model,
            p.canonical,
            p.digest,
            string_split(p.canonical, '.') as parts,
            unnest([array_to_string(parts[i:], '.') for i in range(1, len(parts) + 1)]) as path
        from placements p
        join firsts using (capture)
        where not firsts.brought and not adapter_role(p.role)
    ),
    around as (
        select
            model,
            canonical,
            bool_or(
                path in (select canonical from brought)
                or digest in (select digest from brought where digest is not null)
            ) as inside
        from paths
        group by model, canonical
    )
select model, canonical
from around
where
    inside is distinct from true
    and model in (select model from around group by model having mostly(count(*) filter (inside), count(*)))
union
select c.model, p.canonical
from placements p
join captures c using (capture)
join firsts using (model)
where
    c.run = run_of(b)
    and c.point = 'start'
    and not adapter_role(p.role)
    and p.role <> 'optimizer'
    and not exists (from placements q where q.capture = firsts.capture and q.canonical = p.canonical)
