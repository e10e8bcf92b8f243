-- Each step sees the same rows, though there are more.
--
-- severity:   warning
-- role:       cause
-- confidence: possible
-- explains:   records-dropped, generation-collapse, score-dropped, loss-constant
-- claim:      {looked_at} recorded steps all see the same {rows_} rows; {file} holds {records} records.
-- clean:      the batches ({observed})
-- rules out:  records-dropped
-- needs:      run, every_row
-- nothing:    three steps on training rows
-- params:     a, b, least = 3
-- numbers:    least - recorded steps, two may draw the same rows by chance
-- fix:        take the next batch in each step: iterate over the data set, not over its first batch; where
-- it is to learn one batch by heart, allow this finding
-- harmless:   a data set that is one batch; a program that holds no other rows
-- fires on:   zoo/same-collator, zoo/same-packed
-- silent on:  zoo/healthy-short-answers, zoo/healthy-prompt-in-loss-on-purpose
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    each as (
        select
            r.process,
            r.step,
            string_agg(r.row_digest, ',' order by r.row_digest) as rows_,
            count(distinct r.row_digest) as n
        from batch_rows r
        join k on r.run = k.run and r.model = k.model
        where r.row_digest is not null
        group by r.process, r.step
    ),
    sums as (select count(*) as steps, count(distinct rows_) as kinds, max(n) as n from each),
    -- rows of the longest list that holds one of them: a program without others means this one batch
    listed as (select max(records) as held from datasets join k using (run) where source = 'list'),
    data as (
        select
            max(records) as records,
            max_by(coalesce(file, 'the data set'), records) as file,
            max(used) as seen,
            max(records) filter (source = 'trainer') as handed
        from datasets
        join k using (run)
        where purpose in ('train', 'unknown') and source not in ('forward', 'list')
    )
select
    'batches' as subject,
    case
        when kinds = 1
        then 'one and the same in ' || steps || ' recorded steps'
        else kinds || ' different ones in ' || steps || ' recorded steps'
    end as observed,
    'other rows in each step' as expected,
    kinds = 1
    and coalesce(coalesce(data.handed, data.records) > n, false)
    and coalesce(data.seen < data.records, true)
    and (data.handed is not null or coalesce(listed.held > n, true)) as fault,
    gradient_place(b) as place,
    steps as looked_at,
    n as rows_,
    data.file,
    coalesce(data.handed, data.records) as records,
    -- a trainer was handed all of them; else it may be a test whether one batch can be learned
    case when data.handed is not null then 'error' else 'warning' end as severity,
    case when data.handed is not null then 'certain' else 'possible' end as confidence
from sums, data, listed
where steps >= least
order by subject
