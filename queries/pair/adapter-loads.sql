-- Loads of an adapter's file into a model, by the program or by our own reload: how its names met the model's.
--
-- params: b
SELECT e.sequence, e.model, e.place, e.detail->>'via' AS via, (e.detail->>'names')::INTEGER AS names, (e.detail->>'matched')::INTEGER AS matched,
    (e.detail->>'unexpected')::INTEGER AS unexpected, (e.detail->>'absent')::INTEGER AS absent
FROM events e WHERE e.run = run_of(b) AND e.kind = 'load' AND e.detail->>'what' IN ('adapter', 'weights') AND coalesce((e.detail->>'from_adapter')::BOOLEAN, e.detail->>'what' = 'adapter')
