-- Each file that the program wrote: whose tensors, after how many updates, and whether they still lie there.
--
-- params:  a
-- example: forensics query saved-files night
SELECT save, file, model, updates, count(name) AS tensors, count(*) FILTER (digest_on_disk = digest) AS as_written,
    count(*) FILTER (digest_on_disk IS DISTINCT FROM digest) AS other, any_value(place) AS place
FROM saved_tensors
WHERE run = run_of(a)
GROUP BY save, file, model, updates
ORDER BY save, file
