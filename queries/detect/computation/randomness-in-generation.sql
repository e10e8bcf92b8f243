-- The model that generates draws random numbers in evaluation mode.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   score-dropped, generation-collapse, output-unchanged, stale-prompt-cache, reload-mismatch
-- claim:      In evaluation mode, two equal forwards of the generating model differ by {observed}.
-- clean:      randomness (two equal forwards in evaluation mode are equal)
-- rules out:  sampler-differs, dropout-in-generation
-- needs:      run
-- nothing:    a generation that was asked twice in evaluation mode
-- params:     a, b, floor = logit_noise_float32(), most = 3
-- numbers:    floor - of the largest logit, two forwards of one model at one shape differ by 0, a layer that
-- draws moves them by some percent; most - layers of another class that a sentence can name
-- fix:        a layer adds noise or samples whatever its training flag says: draw only where
-- self.training is true, or take the layer out before answering; eval() alone does not end it{layer}
-- fires on:   zoo/noisy-embedding, zoo/noisy-sublayer
-- silent on:  zoo/healthy-noise-in-training, zoo/healthy-prompt-cache
with
    exchanged as (  -- layers that had another class when the model was loaded
        select c.capture, string_agg(m.module || ' is a ' || m.class, ', ' order by m.module) as layers
        from captures c
        join modules m on m.capture = c.capture and m.kind not in ('adapter', 'dora') and m.module <> ''
        join captures l on l.run = c.run and l.model = c.model and l.point = 'loaded'
        join modules x on x.capture = l.capture and x.module = m.module and x.class <> m.class
        where c.run = run_of(b)
        group by c.capture
        having count(*) <= most
    )
select
    'generation ' || g.generation as subject,
    printf('%.3g (logits reach %.3g)', coalesce(g.eval_repeat_difference, g.repeat_difference), g.logit_scale)
    || coalesce('; ' || exchanged.layers || ', which was loaded as another class', '') as observed,
    'equal logits' as expected,
    random_in_evaluation(
        g.repeat_difference, g.eval_difference, g.eval_repeat_difference, floor * coalesce(g.logit_scale, 1)
    ) as fault,
    g.place,
    coalesce('; ' || exchanged.layers, '') as layer
from generations g
left join exchanged using (capture)
where g.run = run_of(b) and g.repeat_difference is not null
order by fault desc, subject
