-- What moved, by module, the most first: how many tensors, and the largest relative change.
--
-- params:  a, b
-- begins:  start
-- example: forensics query changed-modules night
select
    p.layer,
    p.module,
    count(*) as tensors,
    count(*) filter (p.status = 'changed') as changed,
    count(*) filter (p.status = 'added') as added,
    count(*) filter (p.status = 'removed') as removed,
    bool_or(p.trainable_b) as trainable,
    max(d.relative) as relative
from paired(a, b) p
left join deltas d on d.digest_a = p.key_a and d.digest_b = p.key_b
group by p.layer, p.module
having count(*) filter (p.status <> 'identical') > 0
order by relative desc nulls last, p.layer nulls first, p.module
