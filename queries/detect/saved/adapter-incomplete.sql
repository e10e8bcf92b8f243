-- A saved adapter lacks tensors that the model's adapter has, or what was trained beside it.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, output-unchanged, score-dropped, wrong-base,
-- saved-before-last-update
-- claim:      {observed}.
-- clean:      the completeness of adapter files ({looked} looked at)
-- rules out:  adapter-not-loaded, saved-untrained
-- needs:      adapter_on_base
-- reads:      adapter_loads, made, meant_free, moves
-- long:       files that were saved, files that were loaded, and what was trained beside: a question each
-- nothing:    an adapter's file that was saved or loaded
-- fix:        save all of dict(tree_flatten(model.trainable_parameters())): half an adapter loads without
-- a word, and what is missing stays as it was made
-- fires on:   zoo/half-filtered, zoo/half-one-factor, zoo/head-left-behind
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
with
    own as materialized(
        select p.canonical from placements p where p.capture = capture_of(b) and adapter_role(p.role)
    ),
    saves as (
        select
            s.save,
            any_value(s.file) as file,
            any_value(s.place) as place,
            count(own.canonical) as present,
            (select count(*) from own) as n
        from saved_tensors s
        left join own on own.canonical = s.canonical
        where s.run = run_of(b) and (s.model is null or s.model = model_of(b))
        group by s.process, s.save
    )
select
    'save ' || s.save || ' (' || s.file || ')' as subject,
    case
        when s.present < s.n
        then printf('%d of %d adapter tensors are not in the file %s', s.n - s.present, s.n, s.file)
        else 'all ' || s.n || ' adapter tensors are in the file'
    end as observed,
    'every adapter tensor is in the file' as expected,
    s.present < s.n as fault,
    s.place
from saves s
where s.present > 0
union all
select
    case
        when l.via = 'file'
        then 'the file on its base'
        when l.place is null
        then 'reload of what was saved'
        else 'load at ' || l.place
    end,
    case
        when l.absent > 0
        then printf('%d adapter tensors of the model are not in the file, which holds %d', l.absent, l.names)
        else 'no adapter tensor is missing in the file'
    end,
    'every adapter tensor is in the file',
    l.absent > 0,
    l.place
from adapter_loads l
where l.matched > 0 and l.unexpected = 0 and l.absent is not null
union all
select
    m.name,
    case
        when beside.kept
        then m.name || ' was trained beside the adapter and is in a file'
        else m.name || ' was trained beside the adapter and is in no file that was saved'
    end,
    'what was trained is in a file',
    not beside.kept,
    (select max_by(place, save) from saves where present > 0)
from moves m
cross join
    lateral(
        select exists (from saved_tensors s where s.run = run_of(b) and s.canonical = m.canonical) as kept
    ) beside
where
    exists (from saves where present > 0)
    and (
        exists (
            from meant_free f
            where f.model is not distinct from m.model and f.canonical = m.canonical and f.why = 'unfrozen'
        )
        or (
            m.changed
            and m.trainable
            and not adapter_role(m.role)
            and exists (
                from made where made.model is not distinct from m.model and made.canonical = m.canonical
            )
        )
    )
order by fault desc, subject not like 'save %', subject  -- what a file lacks is mended where it is written
