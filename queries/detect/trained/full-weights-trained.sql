-- Every weight was trained, and nothing says whether that was meant.
--
-- severity:   info
-- role:       cause
-- confidence: certain
-- claim:      {observed} were trained, and nothing in the program says whether that was meant.
-- clean:      full training ({observed})
-- needs:      run, trainable
-- reads:      meant
-- nothing:    an update
-- fix:        say what is meant: forensics capture --expect full, or --expect lora
-- fires on:   zoo/healthy-scratch
WITH p AS (
    SELECT count(*) AS n, count(*) FILTER (trainable) AS trained, count(*) FILTER (adapter_role(role)) AS adapter
    FROM placements WHERE capture = at_point(b, 'start') AND role <> 'optimizer'
)
SELECT 'parameters' AS subject, p.trained || ' of ' || p.n || ' tensors' AS observed, 'a word of what was meant' AS expected,
    p.trained = p.n AND p.adapter = 0 AND m.kind IS NULL AS fault
FROM p, meant m WHERE p.n > 0
ORDER BY subject
