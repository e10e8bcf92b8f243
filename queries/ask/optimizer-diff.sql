-- In what the optimizers of two captures differ.
--
-- params:  a, b
-- example: forensics query optimizer-diff night@start night@end
with
    x as (select * from optimizers where capture = capture_of(a)),
    y as (select * from optimizers where capture = capture_of(b)),
    pairs as (
        select
            unnest(
                [
                    {'key':'class', 'in_a':x.class, 'in_b':y.class},
                    {'key':'step', 'in_a':cast(x.step as varchar), 'in_b':cast(y.step as varchar)},
                    {
                        'key':'learning_rate',
                        'in_a':printf('%.6g', x.learning_rate),
                        'in_b':printf('%.6g', y.learning_rate)
                    },
                    {'key':'settings', 'in_a':x.settings, 'in_b':y.settings},
                    {
                        'key':'state_tensors',
                        'in_a':cast(x.state_tensors as varchar),
                        'in_b':cast(y.state_tensors as varchar)
                    },
                    {'key':'state_l2', 'in_a':printf('%.6g', x.state_l2), 'in_b':printf('%.6g', y.state_l2)}
                ]
            ) as fact
        from x
        full join y on x.optimizer = y.optimizer
    )
select distinct fact.key as key, fact.in_a as in_a, fact.in_b as in_b
from pairs
where
    fact.in_a is distinct from fact.in_b
    -- only a live model in the process that trains it has one that could be seen
    and not exists (
        select 1
        from captures
        where capture in (capture_of(a), capture_of(b)) and source in ('file', 'reload')
    )
order by key, in_a, in_b
