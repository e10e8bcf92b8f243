-- Rows hold token ids that the embedding has no row for.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, loss-not-decreasing, weights-not-finite, all-tokens-masked
-- claim:      {held} hold ids at or above the number of embedding rows; MLX reads
-- past the end of the table without an error.
-- clean:      the token ids (all of {looked:row is|rows are} in range)
-- early:      a row with an id that the embedding does not have was trained
-- needs:      run
-- nothing:    training rows of a language model
-- setting:    data
-- fix:        give the embedding and the head a row for each token (len(tokenizer) of them), or use ids
-- that exist
-- harmless:   more embedding rows than tokens
-- fires on:   zoo/range-collator, zoo/range-packed
-- silent on:  zoo/healthy-sharded-and-padded-base, zoo/healthy-noise
select
    'step ' || r.step || ' row ' || r."row" as subject,
    r.out_of_range || ' ids out of range' as observed,
    'ids below the number of embedding rows' as expected,
    r.out_of_range > 0 as fault,
    rows_place(b) as place,
    count(*) filter (r.out_of_range > 0) over ()
    || ' of '
    || counted(count(*) over (), 'training row') as held,
    r.step as step,
    r."row" as line
from batch_rows r
where r.run = run_of(b) and r.model = model_of(b) and r.out_of_range is not null
union all
select  -- the process may have died of it, and left no step
    'the first batch that holds them',
    (e.detail ->> 'ids') || ' ids out of range',
    'ids below the number of embedding rows, ' || (e.detail ->> 'embedding'),
    true,
    rows_place(b),
    counted((e.detail ->> 'rows')::bigint, 'row') || ' of the first batch',
    0,
    0
from events e
where
    e.run = run_of(b)
    and e.model = model_of(b)
    and e.kind = 'range'
    and not exists (
        from batch_rows r where r.run = run_of(b) and r.model = model_of(b) and r.out_of_range > 0
    )
order by fault desc, step, line
