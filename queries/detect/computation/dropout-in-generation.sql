-- Dropout is active while the model generates.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   score-dropped, generation-collapse when probes_stand, output-unchanged, stale-prompt-cache,
-- reload-mismatch
-- claim:      Two equal forwards of the generating model differ by {observed}.
-- clean:      dropout (two equal forwards are equal)
-- rules out:  sampler-differs, stale-prompt-cache
-- needs:      run
-- nothing:    a generation or a compiled forward that was asked twice
-- params:     a, b, floor = logit_noise_float32()
-- numbers:    floor - of the largest logit, two forwards of one model at one shape differ by 0, dropout
-- moves them by some percent
-- fix:        call model.eval() on the object that generates, after load_adapters or
-- linear_to_lora_layers too: new layers begin in training mode
-- fires on:   zoo/dropout-assistant, zoo/dropout-compiled-loop
-- silent on:  zoo/healthy-dropout-in-training, zoo/healthy-prompt-cache
with
    asked as (  -- the tool asks its probes without dropout: what collapses there as well has another cause
        select
            not exists (
                select 1
                from transcripts
                where capture = probes_at(b) and source = 'probe' and mostly(special_tokens, output_tokens)
            ) as probes_stand
    )
select
    'generation ' || g.generation as subject,
    printf('%.3g (logits reach %.3g)', g.repeat_difference, g.logit_scale) || coalesce(
        '; ' || nullif(g.training_modules, 0) || ' layers with dropout are in training mode', ''
    ) as observed,
    'equal logits' as expected,
    g.repeat_difference > floor * coalesce(g.logit_scale, 1)
    and not random_in_evaluation(
        g.repeat_difference, g.eval_difference, g.eval_repeat_difference, floor * coalesce(g.logit_scale, 1)
    ) as fault,
    g.place,
    probes_stand
from generations g, asked
where g.run = run_of(b) and g.repeat_difference is not null
union all
select
    coalesce(c.place, 'function ' || c.function),
    printf(
        '%.3g (outputs reach %.3g) of a compiled forward that was traced in training mode',
        c.repeat_difference,
        c.live_scale
    ),
    'equal outputs',
    c.repeat_difference > floor * coalesce(c.live_scale, 1),
    c.place,
    probes_stand
from compiled c, asked
where c.run = run_of(b) and c.purpose = 'forward' and c.training_at_trace and c.repeat_difference is not null
order by fault desc, subject
