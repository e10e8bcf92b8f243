-- Every parameter of two captures side by side, with how far it moved.
--
-- params:  a, b
-- example: forensics query parameter-diff snapshots/base snapshots/fixed
select
    p.canonical as name,
    p.name_a,
    p.name_b,
    p.role,
    p.layer,
    p.status = 'identical' as identical,
    p.status,
    p.dtype_a,
    p.dtype_b,
    coalesce(p.shape_b, p.shape_a) as shape,
    p.trainable_b as trainable,
    d.max_abs,
    d.l2,
    d.relative,
    d.cosine,
    d.changed_fraction
from paired(a, b) p
left join deltas d on d.digest_a = p.key_a and d.digest_b = p.key_b
order by p.layer nulls first, p.canonical
