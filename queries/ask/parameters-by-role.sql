-- The parameters of a capture, by role and type: how many, how large, how many numbers are no numbers.
--
-- params:  a
-- beside:  role, dtype
-- example: forensics query parameters-by-role night@end
select
    role,
    dtype,
    count(*) as tensors,
    sum(size) as elements,
    sum(nbytes) as nbytes,
    count(*) filter (trainable) as trainable,
    sum(nans) as nans,
    sum(infs) as infs
from parameters
where capture = capture_of(a)
group by role, dtype
order by role, dtype
