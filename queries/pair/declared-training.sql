-- What the program declares of its training, one row a setting, where all that it declares of it is one
-- value. None where it trains several models, or one with several optimizers: then a setting may be of
-- another.
--
-- params: b
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    alone as (
        select count(distinct m.model) as models, count(distinct s.optimizer) as optimizers
        from models m
        join k on m.run = k.run
        left join steps s on s.run = m.run and s.model = m.model
        where m.updates > 0
    )
select replace(c.key, 'declared.', '') as setting, any_value(c.value) as value
from configs c
join k on c.capture = k.run, alone
where
    c.kind = 'program'
    and c.key like 'declared.%'
    and c.key not in ('declared.number', 'declared.unread')
    and alone.models = 1
    and alone.optimizers = 1
group by c.key
having count(distinct c.value) = 1
