-- What adapter the program asked for, and what adapter each capture has.
--
-- params:  a
-- example: forensics query adapter-declared-and-observed night
SELECT origin, coalesce(capture, run) AS subject, via, kind, rank, scale, alpha, dropout, num_layers, keys, modules, strength, place
FROM adapters
WHERE run = run_of(a)
ORDER BY origin, subject, via
