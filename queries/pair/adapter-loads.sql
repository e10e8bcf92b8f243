-- Loads of an adapter's file into a model, by the program or by our own reload: how its names met the
-- model's.
--
-- params: b
select
    e.sequence,
    e.model,
    e.place,
    e.detail ->> 'via' as via,
    (e.detail ->> 'names')::integer as names,
    (e.detail ->> 'matched')::integer as matched,
    (e.detail ->> 'unexpected')::integer as unexpected,
    (e.detail ->> 'absent')::integer as absent
from events e
where
    e.run = run_of(b)
    and e.kind = 'load'
    and e.detail ->> 'what' in ('adapter', 'weights')
    and coalesce((e.detail ->> 'from_adapter')::boolean, e.detail ->> 'what' = 'adapter')
