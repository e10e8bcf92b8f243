-- A prompt cache does not stand for its text: of other weights, read twice, or read at other places.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   score-dropped, output-unchanged, generation-collapse
-- claim:      {said}.
-- clean:      the prompt cache ({observed})
-- rules out:  stale-model-in-generation, dropout-in-generation
-- needs:      cache
-- nothing:    a generation or a model whose cache was looked at
-- params:     a, b, floor = logit_noise(), times = 10
-- numbers:    floor - of the largest logit, see logit_noise(); times - what two equal forwards differ by
-- fix:        {fix_}
-- long:       two ways to look at a cache, that of a generation and that of the model itself, are one
-- question
-- fires on:   zoo/cache-system, zoo/cache-first-turn
-- silent on:  zoo/healthy-prompt-cache
with
    each as (
        select
            *,
            if(
                cache_tokens = 0,
                'a fresh cache',
                coalesce(printf('%.3g (logits reach %.3g)', cache_difference, logit_scale), 'not compared')
            ) || case
                when cache_updates_behind > 0
                then '; the cache is ' || counted(cache_updates_behind, 'update') || ' old'
                else ''
            end as observed,
            coalesce(
                cache_tokens > 0
                and cache_difference > floor * coalesce(logit_scale, 1)
                and cache_difference > times * coalesce(repeat_difference, 0)
                and (
                    cache_updates_behind > 0
                    or not regexp_matches(coalesce(settings, ''), 'kv_bits|max_kv_size')
                ),
                false
            ) as stale,
            coalesce(cache_repeated > 1, false) as twice
        from generations
        where
            run = run_of(b)
            and (cache_tokens = 0 or cache_difference is not null or cache_repeated is not null)
    )
select
    'generation ' || generation as subject,
    if(
        twice and not stale,
        'the cache holds all '
        || cache_repeated
        || ' tokens that the prompt begins with, and they are read again',
        observed
    ) as observed,
    if(twice and not stale, 'each token of a prompt read once', 'no difference') as expected,
    if(
        twice and not stale,
        'A generation reads '
        || cache_repeated
        || ' tokens twice: its cache held them, and its prompt begins with all of them again',
        'With its prompt cache a generation differs from the same without by ' || observed
    ) as said,
    stale or twice as fault,
    place,
    if(
        twice and not stale,
        'ask with a new make_prompt_cache(model), or hand over only what the cache does not hold',
        'fill the cache after training or loading, with the model that generates: make_prompt_cache(model), then '
        || 'the prefix'
    ) as fix_,
    -- the same words may be asked twice on purpose
    if(twice and not stale, 'warning', 'error') as severity,
    if(cache_updates_behind > 0 or twice, 'strong', 'probable') as confidence
from each
union all
select
    'the model with the program''s own cache',
    printf('%.3g (logits reach %.3g)', most, scale),
    'no difference',
    printf(
        'Tokens read one by one with the program''s own cache give other outputs than the same text read whole: '
        || 'they differ by %.3g to %.3g (logits reach %.3g)',
        least,
        most,
        scale
    ),
    least > floor * scale and least > times * rounding and rounding <= floor * scale,
    place,
    'give what is read with a cache the place that it has in the text: the position of queries and keys alike '
    || '(rope(q, offset=past)), and all earlier keys and values',
    'error',
    'certain'
from selftests
where run = run_of(b) and test = 'cache' and kind is null and scale > 0
order by fault desc, subject
