-- What was meant, in one row: the option, else what was said in so many words, else what is imported. NULL: nothing says.
--
-- params: b
-- reads:  declared
WITH d AS MATERIALIZED (SELECT * FROM declared)
SELECT CASE WHEN count(*) FILTER (via = 'expect') > 0 THEN any_value(kind) FILTER (via = 'expect')
            WHEN bool_or(kind = 'full' AND strength = 'strong') THEN 'full'
            WHEN bool_or(strength = 'strong' AND kind IN ('lora', 'dora')) THEN max_by(kind, via = 'call') FILTER (strength = 'strong' AND kind IN ('lora', 'dora'))
            WHEN bool_or(strength = 'strong') THEN NULL  -- settings that say themselves that they are not in force
            ELSE any_value(kind) END AS kind,
    coalesce(bool_or(strength = 'strong'), false) AS said,
    string_agg(DISTINCT via, ', ' ORDER BY via) AS via, any_value(place ORDER BY strength, via) AS place,
    any_value(rank) AS rank, any_value(scale) AS scale
FROM d
