-- Saving failed, or left a file without tensors.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, adapter-incomplete, error-swallowed, output-unchanged,
-- stale-model-in-generation, adapter-not-loaded
-- claim:      {observed}.
-- clean:      saving ({looked:file|files} with tensors)
-- rules out:  saved-untrained
-- needs:      run
-- nothing:    a save of the program
-- long:       three kinds of failure (raised, empty, not to be read back) and what made up
-- for it
-- fix:        {fix_}
-- fires on:   zoo/empty-file, zoo/raised-and-caught
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
with
    k as materialized(select run_of(b) as run),
    saves as (
        select
            e.sequence,
            e.place,
            coalesce((e.detail ->> 'ok')::boolean, true) as ok,
            (e.detail ->> 'names')::integer as names,
            e.detail ->> 'via' as via,
            (e.detail ->> 'save')::integer as save,
            e.detail ->> 'path' as path,
            e.process
        from events e
        join k using (run)
        where e.kind = 'save'
    ),
    disk as (
        select process, save, count(name) as names, count(digest_on_disk) as there, any_value(file) as file
        from saved_tensors
        join k using (run)
        where overwritten is distinct from true  -- what lies there now is another save's
        group by process, save
    ),
    raised as (
        select e.sequence, e.place, e.detail ->> 'type' as type, e.detail ->> 'call' as call
        from events e
        join k using (run)
        where e.kind = 'error' and regexp_matches(coalesce(e.detail ->> 'call', ''), 'save')
    ),
    known as (
        select distinct canonical
        from placements
        where capture = capture_of(b) and role is distinct from 'optimizer'
    ),
    good as (  -- of a model: a save of an optimizer's state does not make up for one of weights
        select max(s.sequence) as last
        from saves s
        join
            (
                select t.process, t.save
                from saved_tensors t
                join k using (run)
                left join known n on n.canonical = t.canonical
                group by all
                having count(t.model) > 0 or count(n.canonical) > 0
            ) of_model using (process, save)
        where s.ok and s.names > 0
    ),
    files as (  -- `refilled`: tensors were written to the same file later
        select
            *,
            coalesce(
                bool_or(ok and names > 0) over (
                    partition by path order by sequence rows between 1 following and unbounded following
                ),
                false
            ) as refilled
        from saves
    )
select
    'save at ' || coalesce(s.place, 'unknown place') as subject,
    case
        when not s.ok
        then s.via || ' raised, and no whole file was left'
        when s.names = 0
        then s.via || ' wrote a file without a single tensor'
        when d.there < d.names and d.there > 0
        then printf('%d of %d tensors in %s cannot be read back', d.names - d.there, d.names, d.file)
        else s.via || ' wrote ' || counted(s.names, 'tensor')
    end as observed,
    'a file with the trained tensors' as expected,
    ((not s.ok or s.names = 0) and coalesce(good.last, -1) < s.sequence)
    or coalesce(d.there < d.names and d.there > 0, false)
    or (s.names = 0 and not refilled) as fault,
    s.place,
    case
        when s.names = 0
        then
            'flatten before you filter: dict(tree_flatten(model.trainable_parameters())); the keys of '
            || 'the nested tree are those of the first level'
        else
            'let the exception out, hand a flat dict of arrays to '
            || s.via
            || ', and check the file after writing'
    end as fix_,
    -- the weights are in another file that was written later
    if(s.names = 0 and coalesce(good.last, -1) > s.sequence, 'warning', 'error') as severity
from files s
left join disk d on d.process = s.process and d.save = s.save, good
union all
select
    'save at ' || coalesce(r.place, 'unknown place'),
    r.call || ' raised ' || r.type,
    'a file with the trained tensors',
    coalesce(good.last, -1) < r.sequence,
    r.place,
    'let the exception out, and hand a flat dict of arrays: dict(tree_flatten(model.trainable_parameters()))',
    'error'
from raised r, good
where not exists (select 1 from saves s where s.place = r.place)
order by fault desc, subject
