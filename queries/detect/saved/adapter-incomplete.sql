-- A saved adapter lacks tensors that the model's adapter has.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, output-unchanged, score-dropped,
-- saved-before-last-update
-- claim:      {observed}.
-- clean:      the completeness of adapter files ({looked} looked at)
-- rules out:  adapter-not-loaded, saved-untrained
-- needs:      run
-- reads:      adapter_loads
-- nothing:    an adapter's file that was saved or loaded
-- fix:        save all of dict(tree_flatten(model.trainable_parameters())): half an adapter loads without
-- a word, and what is missing stays as it was made
-- fires on:   zoo/half-filtered, zoo/half-one-factor
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
    case when l.place is null then 'reload of what was saved' else 'load at ' || l.place end,
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
order by fault desc, subject not like 'save %', subject  -- what a file lacks is mended where it is written
