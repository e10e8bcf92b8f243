-- Loads of an adapter's file into a model, by the program or by our own reload: how its names met the
-- model's. At rest (`via` file): how the file's names and shapes meet the base's; `absent` then counts halves
-- of adapters alone, as a layer whose two factors are both missing keeps its weights.
--
-- params: b
select
    e.sequence,
    e.model,
    e.place,
    e.detail ->> 'via' as via,
    (e.detail ->> 'names')::integer as names,
    (e.detail ->> 'matched')::integer as matched,
    coalesce(e.detail ->> 'unknown', e.detail ->> 'unexpected')::integer as unexpected,
    coalesce(e.detail ->> 'lacking', e.detail ->> 'absent')::integer as absent,
    coalesce((e.detail ->> 'misshapen')::integer, 0) as misshapen,
    e.detail ->> 'misshapen_first' as misshapen_first,
    e.detail ->> 'unknown_first' as unexpected_first,
    (e.detail ->> 'by_prefix')::boolean as by_prefix,
    (e.detail ->> 'turned')::boolean as turned,
    (e.detail ->> 'plain_names')::boolean as plain_names,
    (e.detail ->> 'peft')::boolean as peft
from events e
where
    e.run = run_of(b)
    and e.kind = 'load'
    and e.detail ->> 'what' in ('adapter', 'weights')
    and coalesce((e.detail ->> 'from_adapter')::boolean, e.detail ->> 'what' = 'adapter')
