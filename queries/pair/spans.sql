-- From where to where each model is judged: of a watched run every model that was trained, from its first
-- `start` to its last live
-- capture, and the model of b to b itself; else the pair.
--
-- params: a, b
with
    k as materialized(
        select
            run_of(b) as run,
            model_of(b) as model,
            capture_of(a) as a_,
            capture_of(b) as b_,
            watched(b) as watched
    ),
    own as (
        select
            c.model,
            min_by(c.capture, c.sequence) filter (c.point = 'start') as started,
            max_by(c.capture, c.sequence) filter (c.source = 'live' and c.updates > 0) as ended
        from captures c
        join k on c.run = k.run and k.watched
        where c.whole is distinct from false
        group by c.model
    )
select own.model, own.started as x, case when own.model = k.model then k.b_ else own.ended end as y
from own, k
where own.started is not null and (own.model = k.model or own.ended is not null)
union all
select k.model, k.a_, k.b_
from k
where not exists (select 1 from own where own.model = k.model and own.started is not null)
