-- The model ended its answer, and generation went on.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, score-dropped, tokenizer-mismatch
-- claim:      In {n} of {looked} generations the end token came and did not stop: {observed}.
-- clean:      the stop tokens ({looked:generation|generations}, none went on after the end of its answer)
-- rules out:  end-never-trained, answers-truncated
-- needs:      generations
-- nothing:    a generation of a model whose end tokens are known
-- fix:        stop at every id that ends a turn: tokenizer.eos_token_ids of the tokenizer that mlx_lm.load returns, or tokenizer.add_eos_token("<|im_end|>")
-- harmless:   mlx_lm.generate_step, which knows no end, asked for a number of tokens beside answers that stop
-- fires on:   zoo/stop-own-loop, zoo/stop-plain-tokenizer
-- silent on:  zoo/healthy-own-loop, zoo/healthy-roundtrip
SELECT 'generation ' || g.generation AS subject,
    CASE WHEN g.end_position IS NOT NULL THEN printf('an end token at position %d of %d', g.end_position, g.output_tokens)
         ELSE 'no end token before the last of ' || g.output_tokens END AS observed,
    'generation stops at the end token' AS expected, g.end_position IS NOT NULL AND g.end_in_stop_set IS DISTINCT FROM true AS fault, g.place,
    CASE WHEN g.via = 'generate_step' AND EXISTS (FROM generations o WHERE o.run = g.run AND o.model = g.model AND o.end_position IS NULL
            AND (o.finish_reason = 'stop' OR o.end_in_stop_set)) THEN 'info' ELSE 'error' END AS severity  -- a number of steps was asked for, and answers do stop
FROM generations g WHERE g.run = run_of(b) AND g.output_tokens > 0
    AND (g.end_position IS NOT NULL OR g.end_in_stop_set IS NOT NULL OR g.stop_tokens > 0 OR g.via IN ('loop', 'generate_step'))
ORDER BY fault DESC, g.generation
