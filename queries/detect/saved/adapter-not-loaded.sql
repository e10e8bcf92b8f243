-- An adapter's file holds tensors that the model has no place for.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   stale-model-in-generation, reload-mismatch, output-unchanged, adapter-incomplete,
-- score-dropped, wrong-base, fuse-lost-update
-- claim:      {observed}: {consequence}.
-- clean:      the loading of adapters ({seen})
-- rules out:  saved-untrained, adapter-incomplete
-- needs:      adapter_on_base
-- reads:      adapter_loads, adapter_fits, foreign_names
-- nothing:    a load of an adapter's file
-- setting:    resume_adapter_file, adapter_path
-- fix:        {fix_}
-- fires on:   zoo/unread-plain, zoo/unread-prefix
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-continued
select
    case when l.place is null then 'reload of what was saved' else 'load at ' || l.place end as subject,
    case
        when l.unexpected > 0
        then l.unexpected || ' of ' || l.names || ' names in the file are not in the model'
        else 'all ' || l.names || ' names met'
    end as observed,
    'every name in the file is one of the model' as expected,
    l.unexpected > 0 as fault,
    l.place,
    case
        when sum((l.place is not null)::integer) over () > 0
        then sum((l.place is not null)::integer) over () || ' by the program, all names met'
        else 'none by the program; all names of what was saved are met'
    end as seen,
    case
        when
            l.matched = 0
            and not exists (
                select 1
                from modules x
                join captures c on c.capture = x.capture
                where c.run = run_of(b) and c.model = l.model and x.kind in ('adapter', 'dora')
            )
        then
            'put the adapter layers in first: mlx_lm.load(base, adapter_path=...) or '
            || 'mlx_lm.tuner.utils.load_adapters(model, path), not model.load_weights(..., strict=False)'
        else
            'save the names that tree_flatten(model.trainable_parameters()) gives, and load with '
            || 'load_adapters, which refuses other names'
    end as fix_,
    'loading with strict=False left them out without a word' as consequence,
    'error' as severity,
    l.sequence
from adapter_loads l
where l.names > 0 and l.unexpected is not null and l.via is distinct from 'file'
union all
select *
from adapter_fits
union all
select
    'save ' || f.save || ' (' || f.file || ')',
    f.others || ' of ' || f.names || ' names in the file are not in the model it was taken from',
    'every name in the file is one of the model',
    true,
    f.place,
    null,
    'save the names that tree_flatten(model.trainable_parameters()) gives; where a loader of your own takes '
    || 'these, allow this finding',
    'a loader that goes by names leaves them out',
    'warning',
    null
from foreign_names f
order by fault desc, sequence
