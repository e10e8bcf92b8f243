-- Each file that the program wrote: whose tensors, after how many updates, and whether they still lie
-- there.
--
-- params:  a
-- example: forensics query saved-files night
select
    save,
    file,
    model,
    updates,
    count(name) as tensors,
    count(*) filter (digest_on_disk = digest) as as_written,
    count(*) filter (digest_on_disk is distinct from digest) as other,
    any_value(place) as place
from saved_tensors
where run = run_of(a)
group by save, file, model, updates
order by save, file
