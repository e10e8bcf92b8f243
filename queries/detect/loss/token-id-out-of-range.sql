-- Rows hold token ids that the embedding has no row for.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, loss-not-decreasing, weights-not-finite, all-tokens-masked
-- claim:      {n} of {looked} training rows hold ids at or above the number of embedding rows; MLX reads past the end of the table without an error.
-- clean:      the token ids (all of {looked:row is|rows are} in range)
-- needs:      run
-- nothing:    training rows of a language model
-- fix:        give the embedding and the head a row for each token (len(tokenizer) of them), or use ids that exist
-- harmless:   more embedding rows than tokens
-- fires on:   zoo/range-collator, zoo/range-packed
-- silent on:  zoo/healthy-sharded-and-padded-base, zoo/healthy-noise
SELECT 'step ' || r.step || ' row ' || r."row" AS subject, r.out_of_range || ' ids out of range' AS observed, 'ids below the number of embedding rows' AS expected,
    r.out_of_range > 0 AS fault, loss_place(b) AS place
FROM batch_rows r WHERE r.run = run_of(b) AND r.model = model_of(b) AND r.out_of_range IS NOT NULL
ORDER BY fault DESC, r.step, r."row"
