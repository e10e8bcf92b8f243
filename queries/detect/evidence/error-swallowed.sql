-- A watched call raised, and the program went on as if it had not.
--
-- severity:   warning
-- role:       consequence
-- confidence: certain
-- claim:      {observed}, and the program went on.
-- clean:      exceptions ({observed})
-- needs:      run
-- fix:        let the exception end the run, or say it in the result: except Exception around {subject} hides it
-- harmless:   loading a file that may be missing, where the program then begins afresh
-- fires on:   zoo/swallowed-pipeline, zoo/swallowed-classes
-- silent on:  zoo/healthy-pipeline
WITH e AS (
    SELECT detail->>'call' AS call, detail->>'type' AS type, coalesce((detail->>'caught')::BOOLEAN, false) AS caught, place FROM events
    WHERE run = run_of(b) AND kind = 'error'
)
SELECT call AS subject, call || ' raised ' || type || CASE WHEN count(*) > 1 THEN ' ' || count(*) || ' times' ELSE '' END AS observed,
    'no exception, or an end of the run' AS expected,
    bool_or(caught) AND NOT regexp_matches(call, '(load|load_weights|load_model|load_tokenizer|load_adapters)$') AS fault,
    any_value(place) AS place
FROM e GROUP BY call, type
UNION ALL
SELECT 'calls', 'none was raised by a watched call', 'no exception, or an end of the run', false, NULL WHERE NOT EXISTS (FROM e)
ORDER BY fault DESC, subject
