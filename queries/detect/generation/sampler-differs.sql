-- Equal parameters and prompts were sampled with other settings.
--
-- severity:   warning
-- role:       cause
-- confidence: strong
-- explains:   output-unchanged, score-dropped, generation-collapse
-- claim:      Equal parameters answered the same prompt with two samplers: {observed}; and {expected}.
-- clean:      the sampler ({looked:pair|pairs} of equal prompts and parameters, equal settings)
-- rules out:  dropout-in-generation, reload-mismatch
-- needs:      generations
-- reads:      asked_after
-- nothing:    two generations of one prompt with equal parameters
-- fix:        give both the same sampler: make_sampler(temp=..., top_p=...), and temp=0 where answers are
-- compared
-- harmless:   several settings tried on one model, which is told as info
-- fires on:   zoo/draws-after-reload, zoo/draws-in-one-line
-- silent on:  zoo/healthy-sampling-twice, zoo/healthy-roundtrip
with
    asked as (
        select
            g.generation,
            g.model,
            g.prompt_digest,
            g.asked_at,
            g.used,
            g.capture,
            g.sampler,
            coalesce(g.settings ->> 'temperature', '') as temperature,
            coalesce(g.settings ->> 'top_p', '') as top_p,
            g.sampler || if(
                g.settings ->> 'temperature' is null,
                '',
                ', temperature ' || brief((g.settings ->> 'temperature')::double)
            )
            || if(
                (g.settings ->> 'top_p')::double > 0,
                ', top-p ' || brief((g.settings ->> 'top_p')::double),
                ''
            )
            || coalesce(', top-k ' || nullif(g.settings ->> 'top_k', '0'), '')
            || if(
                (g.settings ->> 'min_p')::double > 0,
                ', min-p ' || brief((g.settings ->> 'min_p')::double),
                ''
            ) as said
        from asked_after g
        where g.prompt_digest is not null and g.sampler <> 'unknown'
    )
select
    'generations ' || x.generation || ' and ' || y.generation as subject,
    y.said as observed,
    x.said as expected,
    x.said <> y.said as fault,
    y.asked_at as place,
    case when x.model <> y.model then 'warning' else 'info' end as severity
from asked x
join
    asked y
    on x.prompt_digest = y.prompt_digest
    and x.generation < y.generation
    and (x.capture = y.capture or (x.used = y.used and x.used in ('trained', 'saved')))
order by fault desc, severity desc, x.generation, y.generation
