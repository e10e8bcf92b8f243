-- The configuration that was written makes another model of the same weights.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, generation-collapse, score-dropped, stale-model-in-generation
-- claim:      Loaded from what was written, {subject} is {observed}; it was trained with {expected}.{keys}
-- clean:      the written configuration (settings of layers are as they were trained with)
-- rules out:  reload-mismatch, lora-scale-mismatch
-- needs:      reloaded, end
-- params:     a, b, most = 6
-- numbers:    most - keys that a sentence can name
-- nothing:    a saved model with a configuration of its own, loaded again
-- fix:        write the key that the loader reads: copy config.json of the model that was trained, and
-- change only what was meant to change
-- fires on:   zoo/rotary-key-renamed, zoo/settings-left-out
-- silent on:  zoo/healthy-fused
with
    again as (  -- what was loaded from a directory with a configuration of its own, and the live model
        select
            r.capture as reloaded,
            max_by(s.place, s.sequence) as place,
            max_by(s.capture, s.sequence) as saved,
            max_by(l.capture, l.sequence) as live
        from captures r
        join captures s on s.run = r.run and s.point = 'saved' and s.model = r.model
        join
            captures l
            on l.run = r.run
            and l.model = r.model
            and l.source = 'live'
            and l.whole is distinct from false
        where
            r.run = run_of(b)
            and r.point = 'reloaded'
            and exists (from configs c where c.capture = s.capture and c.kind = 'model')
        group by r.capture
    ),
    keys as (  -- what the live model's configuration holds and the written one lacks or has otherwise
        select
            again.reloaded,
            string_agg(
                l.key || case
                    when w.key is null
                    then ' (' || l.value || ') is not in it'
                    else ' is ' || w.value || ', was ' || l.value
                end,
                ', '
                order by l.key
            ) as text
        from again
        join configs l on l.capture = again.live and l.kind = 'model'
        left join configs w on w.capture = again.saved and w.kind = 'model' and w.key = l.key
        where w.value is distinct from l.value
        group by again.reloaded
        having count(*) <= most
    ),
    settings as (
        select
            again.reloaded,
            again.place,
            m.module,
            unnest(json_keys(m.attributes)) as attribute,
            json_extract_string(m.attributes, '$."' || attribute || '"') as live,
            json_extract_string(x.attributes, '$."' || attribute || '"') as loaded
        from again
        join modules m on m.capture = again.live and m.kind not in ('adapter', 'dora')
        join modules x on x.capture = again.reloaded and x.module = m.module and x.class = m.class
    )
select
    ltrim(s.module || '.' || s.attribute, '.') as subject,
    s.loaded as observed,
    s.live as expected,
    coalesce(try_cast(s.live as double) <> try_cast(s.loaded as double), s.live <> s.loaded) as fault,
    s.place,
    coalesce(' Of the written config.json: ' || keys.text || '.', '') as keys
from settings s
left join keys using (reloaded)
where s.loaded is not null and s.live is not null
order by fault desc, subject
