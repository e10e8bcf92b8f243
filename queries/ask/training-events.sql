-- What the program did, in order, with the line that did it.
--
-- params:  a
-- example: forensics query training-events night
SELECT sequence, round(time, 2) AS seconds, process, kind, model, place, detail
FROM events
WHERE run = run_of(a)
ORDER BY sequence
