-- A conversion to adapters converted nothing.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   base-weights-overwritten, full-weights-trained, nothing-trainable, save-failed,
-- adapter-not-loaded, reload-mismatch
-- claim:      The conversion to adapters converted nothing: {observed}.
-- clean:      the targets of the adapter ({observed})
-- rules out:  lora-missing
-- needs:      run, every_event
-- long:       five ways in which a conversion finds nothing, each with its sentence
-- reads:      declared, meant
-- nothing:    no conversion to adapters was attempted
-- setting:    keys
-- fix:        name the targets as they stand inside a block ({example}), and check that
-- tree_flatten(model.trainable_parameters()) holds lora_a afterwards
-- fires on:   zoo/unmatched-api, zoo/unmatched-classes, zoo/unmatched-command
with
    inside as materialized(
        select
            canonical,
            kind,
            regexp_replace(canonical, '^(.*\.)?' || coalesce(layer::varchar, '[^.]*') || '\.', '') as path
        from modules
        where capture = capture_of(b) and kind in ('linear', 'quantized', 'embedding', 'switch')
    ),
    example as (
        select coalesce(min(path) filter (path like '%q%proj'), min(path), 'self_attn.q_proj') as path
        from inside
    ),
    calls as (
        select
            e.sequence,
            e.place,
            (e.detail ->> 'adapted_after')::integer as adapted,
            (e.detail ->> 'adapted_before')::integer as before,
            (e.detail ->> 'candidates')::integer as candidates,
            from_json(e.detail -> 'requested' -> 'keys', '["VARCHAR"]') as keys,
            coalesce((e.detail ->> 'ok')::boolean, true) as ok,
            e.detail ->> 'via' as via,
            (e.detail ->> 'made')::integer as made
        from events e
        where e.run = run_of(b) and e.kind = 'convert'
    ),
    said as (select distinct unnest(keys) as key_ from declared where strength = 'strong'),
    keyed as (
        select
            count(*) as n,
            string_agg(key_, ', ' order by key_) as keys,
            count(*) filter (
                exists (select 1 from inside i where answers_to(i.canonical, said.key_))
            ) as answered
        from said
    )
select
    coalesce(c.via, 'conversion') as subject,
    case
        when c.adapted > 0
        then c.adapted || ' layers adapted'
        when c.keys is not null
        then
            'none of '
            || array_to_string(c.keys, ', ')
            || ' names one of '
            || c.candidates
            || ' layers by its path inside a block'
        when c.via = 'walk'
        then 'a walk over the modules found no layer to convert'
        when coalesce(c.made, 0) > 0
        then c.made || ' adapter layers were made, and none stands in the model'
        else '0 of ' || c.candidates || ' layers were converted'
    end as observed,
    'at least one adapted layer' as expected,
    not (c.adapted > 0) and not has_adapter(b) and c.ok as fault,
    c.place,
    example.path as example
from calls c, example, meant m
where c.via is distinct from 'walk' or m.kind in ('lora', 'dora')
union all
select
    'declared targets',
    'no module answers to ' || keyed.keys,
    'at least one adapted layer',
    true,
    null,
    example.path
from keyed, example
where
    keyed.n > 0
    and keyed.answered = 0
    and not exists (from calls)
    and not has_adapter(b)
    and tries(b)
    and exists (from inside)
order by subject
