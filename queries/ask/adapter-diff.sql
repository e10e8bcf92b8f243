-- In what the adapters of two captures differ.
--
-- params:  a, b
-- example: forensics query adapter-diff night@start night@reloaded
with
    x as (select * from adapters where capture = capture_of(a) and origin = 'observed'),
    y as (select * from adapters where capture = capture_of(b) and origin = 'observed'),
    pairs as (
        select
            unnest(
                [
                    {'key':'kind', 'in_a':x.kind, 'in_b':y.kind},
                    {'key':'rank', 'in_a':cast(x.rank as varchar), 'in_b':cast(y.rank as varchar)},
                    {'key':'scale', 'in_a':cast(x.scale as varchar), 'in_b':cast(y.scale as varchar)},
                    {'key':'dropout', 'in_a':cast(x.dropout as varchar), 'in_b':cast(y.dropout as varchar)},
                    {
                        'key':'num_layers',
                        'in_a':cast(x.num_layers as varchar),
                        'in_b':cast(y.num_layers as varchar)
                    },
                    {'key':'modules', 'in_a':cast(x.modules as varchar), 'in_b':cast(y.modules as varchar)},
                    {'key':'keys', 'in_a':x.keys, 'in_b':y.keys}
                ]
            ) as fact
        from x
        full join y on true
    )
select distinct fact.key as key, fact.in_a as in_a, fact.in_b as in_b
from pairs
where
    fact.in_a is distinct from fact.in_b
    -- of two adapters, what is not known of one is no difference
    and (
        (fact.in_a is not null and fact.in_b is not null)
        or not exists (select 1 from x)
        or not exists (select 1 from y)
    )
order by key, in_a, in_b
