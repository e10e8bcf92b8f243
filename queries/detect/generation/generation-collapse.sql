-- Answers are one special token, or a loop.
--
-- severity:   error
-- role:       symptom
-- confidence: strong
-- claim:      {n} of {looked} answers collapsed: {observed}.
-- clean:      the answers ({looked} of them, no more collapsed than the base's)
-- needs:      probes
-- reads:      asked_after
-- nothing:    answers of the base and of the trained model
-- params:     a, b, share = 0.5, least = 6, looped = 0.6
-- fix:        look at the causes above; where there are none, lower the learning rate or the number of steps
-- harmless:   a loop in greedy answers, which the base has as well (told as info)
-- fires on:   zoo/story-both
-- silent on:  zoo/story-mended, zoo/healthy-short-answers
WITH k AS MATERIALIZED (SELECT probes_at(a) AS base, probes_at(b) AS trained, run_of(b) AS run),
each AS (
    SELECT t.capture, t.prompt_id, t.source, t.output_tokens, t.loop_share,
        coalesce(t.special_tokens, 0) / nullif(t.output_tokens, 0) AS special, t.top_token_share, t.top_token_class,
        t.output_tokens >= least AND coalesce(t.special_tokens, 0) / nullif(t.output_tokens, 0) > share AS spam,
        t.output_tokens >= 2 * least AND coalesce(t.loop_share, 0) > looped AND t.finish_reason IS DISTINCT FROM 'stop' AS loop
    FROM transcripts t WHERE t.finish_reason IS DISTINCT FROM 'error'
), base AS (
    SELECT count(*) AS n, coalesce(avg(spam::INTEGER), 0) AS spam, coalesce(avg(loop::INTEGER), 0) AS loop FROM each JOIN k ON each.capture = k.base WHERE source = 'probe'
), mine AS (
    SELECT each.* FROM each JOIN k ON each.capture = k.trained WHERE each.source = 'probe'
    UNION ALL
    SELECT each.* FROM asked_after g JOIN each ON each.source = 'observed' AND each.prompt_id = 'g' || g.generation
    JOIN captures c ON c.capture = each.capture JOIN k ON c.run = k.run
), sums AS (SELECT avg(spam::INTEGER) AS spam, avg(loop::INTEGER) AS loop FROM mine)
SELECT m.source || ' ' || m.prompt_id AS subject,
    CASE WHEN m.spam THEN percent(m.special) || ' of ' || m.output_tokens || ' tokens are special tokens' WHEN m.loop THEN percent(m.loop_share) || ' of ' || m.output_tokens || ' tokens repeat what stands before them'
         ELSE m.output_tokens || ' tokens of text' END AS observed,
    'an answer in words' AS expected,
    (m.spam AND sums.spam >= share AND base.spam < share) OR (m.loop AND sums.loop >= share AND base.loop < share) AS fault,
    CASE WHEN m.spam THEN 'error' ELSE 'info' END AS severity
FROM mine m, sums, base WHERE base.n > 0
ORDER BY fault DESC, subject
