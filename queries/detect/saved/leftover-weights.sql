-- A load reads weights that the last save did not write, beside those that it wrote.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, stale-model-in-generation, output-unchanged, generation-collapse,
-- score-dropped, saved-untrained, saved-before-last-update
-- claim:      The last save did not write {subject}, which lies beside what it wrote and is read as well:
-- {observed}.
-- clean:      the files of a saved model ({looked:file|files})
-- rules out:  reload-mismatch, save-failed
-- needs:      reloaded
-- nothing:    a directory of a whole model, loaded again
-- fix:        empty the directory before saving, or save to a new one: mlx-lm reads every
-- model*.safetensors that lies there
-- harmless:   shards that share no tensor
-- fires on:   zoo/old-shards, zoo/old-copy
-- silent on:  zoo/healthy-fused
with
    loads as (
        select
            e.model,
            (e.detail ->> 'twice')::integer as twice,
            unnest(from_json(e.detail -> 'files', '["VARCHAR"]')) as file
        from events e
        where
            e.run = run_of(b)
            and e.kind = 'load'
            and e.detail ->> 'via' = 'reload'
            and e.detail ->> 'what' = 'model'
    ),
    last as (  -- files that were the last to be written with some tensor
        select file, any_value(place) as place
        from
            (
                select canonical, max_by(s.file, s.save) as file, max_by(s.place, s.save) as place
                from saved_tensors s
                where s.run = run_of(b) and s.file in (select file from loads)
                group by s.process, canonical
            )
        group by file
    )
select
    l.file as subject,
    case
        when last.file is not null
        then 'written by the last save'
        when l.twice > 0
        then l.twice || ' tensors stand in two files, and the order of reading says which one is taken'
        else 'shares no tensor with what was written'
    end as observed,
    'files of the last save alone' as expected,
    l.twice > 0 and last.file is null as fault,
    (select any_value(place) from last) as place
from loads l
left join last using (file)
where exists (from last) and l.twice is not null
order by fault desc, subject
