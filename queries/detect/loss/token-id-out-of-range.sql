-- Rows hold token ids that the embedding has no row for.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, loss-not-decreasing, weights-not-finite, all-tokens-masked
-- claim:      {n} of {looked} training rows hold ids at or above the number of embedding rows; MLX reads
-- past the end of the table without an error.
-- clean:      the token ids (all of {looked:row is|rows are} in range)
-- early:      a row with an id that the embedding does not have was trained
-- needs:      run
-- nothing:    training rows of a language model
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
    gradient_place(b) as place
from batch_rows r
where r.run = run_of(b) and r.model = model_of(b) and r.out_of_range is not null
order by fault desc, r.step, r."row"
