-- Parameters of two captures side by side by canonical name, tied twins once: name_a or name_b is NULL
-- where one has none.
-- `key_a` and `key_b` are digests as values, under which `deltas` are found: the value digest where there
-- is one, else the digest.
--
-- params: a, b
with
    x as (
        select
            canonical,
            any_value(name order by shared_with is not null, name) as name,
            any_value(p.role order by shared_with is not null, name) as role,
            any_value(p.layer) as layer,
            any_value(p.module) as module,
            any_value(p.digest order by shared_with is not null, name) as digest,
            any_value(p.value_digest) as value_digest,
            any_value(p.dtype) as dtype,
            any_value(p.shape) as shape,
            any_value(p.trainable) as trainable
        from parameters p
        where p.capture = capture_of(a) and p.role is distinct from 'optimizer'
        group by canonical
    ),
    y as (
        select
            canonical,
            any_value(name order by shared_with is not null, name) as name,
            any_value(p.role order by shared_with is not null, name) as role,
            any_value(p.layer) as layer,
            any_value(p.module) as module,
            any_value(p.digest order by shared_with is not null, name) as digest,
            any_value(p.value_digest) as value_digest,
            any_value(p.dtype) as dtype,
            any_value(p.shape) as shape,
            any_value(p.trainable) as trainable
        from parameters p
        where p.capture = capture_of(b) and p.role is distinct from 'optimizer'
        group by canonical
    )
select
    coalesce(x.canonical, y.canonical) as canonical,
    x.name as name_a,
    y.name as name_b,
    coalesce(y.role, x.role) as role,
    coalesce(y.layer, x.layer) as layer,
    coalesce(y.module, x.module) as module,
    x.dtype as dtype_a,
    y.dtype as dtype_b,
    x.shape as shape_a,
    y.shape as shape_b,
    x.digest as digest_a,
    y.digest as digest_b,
    x.value_digest as value_digest_a,
    y.value_digest as value_digest_b,
    coalesce(x.value_digest, x.digest) as key_a,
    coalesce(y.value_digest, y.digest) as key_b,
    x.trainable as trainable_a,
    y.trainable as trainable_b,
    case
        when x.name is null
        then 'added'
        when y.name is null
        then 'removed'
        when x.digest is null or y.digest is null
        then 'unknown'
        when coalesce(x.value_digest, x.digest) = coalesce(y.value_digest, y.digest)
        then 'identical'
        else 'changed'
    end as status
from x
full join y on x.canonical = y.canonical
