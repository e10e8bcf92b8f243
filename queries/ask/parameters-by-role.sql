-- The parameters of a capture, by role and type: how many, how large, how many numbers are no numbers.
--
-- params:  a
-- example: forensics query parameters-by-role night@end
SELECT role, dtype, count(*) AS tensors, sum(size) AS elements, sum(nbytes) AS nbytes, count(*) FILTER (trainable) AS trainable,
    sum(nans) AS nans, sum(infs) AS infs
FROM parameters
WHERE capture = capture_of(a)
GROUP BY role, dtype
ORDER BY role, dtype
