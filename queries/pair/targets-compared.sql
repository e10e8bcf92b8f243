-- Adapted layers of b's model, beside each declaration of the keys that are to be adapted. Of a list for
-- many architectures only those keys count that name a module of this model.
--
-- params: a, b
-- reads:  adapted_at_end, declared_adapters
with
    paths as materialized(
        select list(canonical order by canonical) as paths
        from adapted_at_end
        where model is not distinct from model_of(b)
    ),
    known as (
        select coalesce(list(distinct key_), []) as keys
        from (select unnest(keys) as key_ from declared_adapters)
        where exists (from modules x where x.capture = capture_of(b) and answers_to(x.canonical, key_))
    ),
    compared as (
        select distinct
            via,
            place,
            list_filter(d.keys, lambda k:list_contains(known.keys, k) or len(known.keys) = 0) as keys,
            list_filter(
                d.keys, lambda k:list_bool_or(list_transform(paths, lambda p:answers_to(p, k)))
            ) as found,
            list_filter(
                paths, lambda p: not list_bool_or(list_transform(d.keys, lambda k:answers_to(p, k)))
            ) as more
        from declared_adapters d, paths, known
        where len(d.keys) > 0 and not list_has_any(d.keys, ['all-linear', 'auto', 'all'])
    )
select
    'targets' as subject,
    case
        when len(more) > 0
        then
            counted(len(more), 'layer')
            || if(len(more) = 1, ' is', ' are')
            || ' adapted that no key names: '
            || more[1]
            || if(len(more) = 1, '', ' and others')
        when len(found) = 0
        then 'none of the declared layers is adapted'
        else 'only ' || array_to_string(found, ', ') || if(len(found) = 1, ' is adapted', ' are adapted')
    end as observed,
    array_to_string(keys, ', ') as expected,
    via,
    len(found) = len(keys) and len(more) = 0 as agrees,
    place
from compared
where exists (from adapted_at_end where model is not distinct from model_of(b))
