-- A prompt cache holds the keys and values of other weights.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   score-dropped, output-unchanged, generation-collapse
-- claim:      With its prompt cache a generation differs from the same without by {observed}.
-- clean:      the prompt cache ({observed})
-- rules out:  stale-model-in-generation, dropout-in-generation
-- needs:      generations
-- nothing:    a generation whose cache was looked at
-- params:     a, b, floor = logit_noise(), times = 10
-- numbers:    floor - of the largest logit, see logit_noise(); times - what two equal forwards differ by
-- fix:        fill the cache after training or loading, with the model that generates:
-- make_prompt_cache(model), then the prefix
-- fires on:   zoo/cache-system, zoo/cache-first-turn
-- silent on:  zoo/healthy-prompt-cache
select
    'generation ' || g.generation as subject,
    case
        when g.cache_tokens = 0
        then 'a fresh cache'
        else printf('%.3g (logits reach %.3g)', g.cache_difference, g.logit_scale)
    end || case
        when g.cache_updates_behind > 0
        then '; the cache is ' || counted(g.cache_updates_behind, 'update') || ' old'
        else ''
    end as observed,
    'no difference' as expected,
    coalesce(
        g.cache_tokens > 0
        and g.cache_difference > floor * coalesce(g.logit_scale, 1)
        and g.cache_difference > times * coalesce(g.repeat_difference, 0)
        and (
            g.cache_updates_behind > 0 or not regexp_matches(coalesce(g.settings, ''), 'kv_bits|max_kv_size')
        ),
        false
    ) as fault,
    g.place,
    case when g.cache_updates_behind > 0 then 'strong' else 'probable' end as confidence
from generations g
where g.run = run_of(b) and (g.cache_tokens = 0 or g.cache_difference is not null)
order by fault desc, g.generation
