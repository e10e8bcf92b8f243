-- In what the modules of two captures differ: class, mode, and the numbers of adapters.
--
-- params:  a, b
-- example: forensics query modules-diff night@loaded night@end
with
    x as (
        select
            module,
            canonical,
            class,
            cast(training as varchar) as training,
            cast(rank as varchar) as rank,
            cast(scale as varchar) as scale,
            cast(dropout as varchar) as dropout,
            cast(adapters as varchar) as adapters
        from modules
        where capture = capture_of(a)
    ),
    y as (
        select
            module,
            canonical,
            class,
            cast(training as varchar) as training,
            cast(rank as varchar) as rank,
            cast(scale as varchar) as scale,
            cast(dropout as varchar) as dropout,
            cast(adapters as varchar) as adapters
        from modules
        where capture = capture_of(b)
    ),
    pairs as (
        select
            coalesce(x.module, y.module) as module,
            unnest(
                [
                    {'key':'class', 'in_a':x.class, 'in_b':y.class},
                    {'key':'training', 'in_a':x.training, 'in_b':y.training},
                    {'key':'rank', 'in_a':x.rank, 'in_b':y.rank},
                    {'key':'scale', 'in_a':x.scale, 'in_b':y.scale},
                    {'key':'dropout', 'in_a':x.dropout, 'in_b':y.dropout},
                    {'key':'adapters', 'in_a':x.adapters, 'in_b':y.adapters}
                ]
            ) as fact,
            x.module is null or y.module is null as alone
        from x
        full join y on x.module = y.module
        -- what an adapter wraps is a module of its own, and nobody put it there
        where
            coalesce(x.module = x.canonical, true)
            and coalesce(y.module = y.canonical, true)
            and exists (select 1 from x)
            and exists (select 1 from y)
    ),
    k as materialized(select from_file(a) = from_file(b) as alike)
select module, fact.key as key, fact.in_a as in_a, fact.in_b as in_b
from pairs, k
where
    fact.in_a is distinct from fact.in_b
    and (not alone or fact.key = 'class')
    -- of a file and a live model, what one does not say is no difference; both say where adapters stand,
    -- and of which rank
    and (alike or (fact.in_a is not null and fact.in_b is not null) or (fact.key = 'rank' and not alone))
order by module, key
