-- The model ended its answer, and generation went on.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, score-dropped, tokenizer-mismatch
-- claim:      In {n} of {looked} generations the end token came and generation went on: {observed}.
-- clean:      the stop tokens ({looked:generation|generations}, none went on after the end of its answer)
-- rules out:  end-never-trained, answers-truncated
-- needs:      generations
-- nothing:    a generation of a model whose end tokens are known
-- fix:        stop at every id that ends a turn: tokenizer.eos_token_ids of the tokenizer that
-- mlx_lm.load returns, or tokenizer.add_eos_token("<|im_end|>")
-- harmless:   mlx_lm.generate_step, which knows no end, asked for a number of tokens beside answers that
-- stop
-- fires on:   zoo/stop-own-loop, zoo/stop-plain-tokenizer
-- silent on:  zoo/healthy-own-loop, zoo/healthy-roundtrip
select
    'generation ' || g.generation as subject,
    case
        when g.end_position is not null
        then printf('the end token at position %d of %d tokens', g.end_position, g.output_tokens)
        else 'no end token before the last of ' || g.output_tokens
    end as observed,
    'generation stops at the end token' as expected,
    g.end_position is not null and g.end_in_stop_set is distinct from true as fault,
    g.place,
    case
        when
            g.via = 'generate_step'
            and exists (
                from generations o
                where
                    o.run = g.run
                    and o.model = g.model
                    and o.end_position is null
                    and (o.finish_reason = 'stop' or o.end_in_stop_set)
            )
        then 'info'
        else 'error'
    end as severity  -- a number of steps was asked for, and answers do stop
from generations g
where
    g.run = run_of(b)
    and g.output_tokens > 0
    and (
        g.end_position is not null
        or g.end_in_stop_set is not null
        or g.stop_tokens > 0
        or g.via in ('loop', 'generate_step')
    )
order by fault desc, g.generation
