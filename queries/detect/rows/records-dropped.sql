-- Records of the training file never reach the model.
--
-- severity:   warning
-- role:       cause
-- confidence: probable
-- explains:   score-dropped
-- claim:      No row holds {observed} of {file}, in any of the {passes} passes over the others.
-- clean:      the records (no row holds {observed} of {file})
-- rules out:  same-batch-repeated
-- needs:      run
-- nothing:    a training file whose records were looked for in the rows of two passes
-- params:     a, b, share = 0.1
-- fix:        count what the loader skips, and raise where it is more than you expect; look for records without the expected keys, and for a last row that is never emitted
-- harmless:   rows that are drawn from the records, in other company each time; rows that are held back and measured; a first or last part of a file that is left out; the last batch where it is not full
-- fires on:   zoo/dropped-collator, zoo/dropped-packed
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-held-out, zoo/healthy-command-masked
SELECT coalesce(d.file, 'data set') AS subject, printf('%d of %d records', d.unused, d.records) AS observed, 'every record' AS expected,
    d.unused_between > 0 AND d.unused_between >= share * d.records AND d.unused > d.batch - 1 AS fault, d.place, d.file, (d.rows_drawn / nullif(d.rows_seen, 0))::INTEGER AS passes
FROM (
    SELECT x.*, x.records - x.used AS unused, coalesce((SELECT max((e.detail->'declared'->>'batch_size')::INTEGER) FROM events e WHERE e.run = run_of(b) AND e.kind = 'train'), 1) AS batch
    FROM datasets x WHERE x.run = run_of(b) AND x.source = 'file' AND x.purpose IN ('train', 'unknown')
) d WHERE d.used > 0 AND d.rows_drawn >= 2 * d.rows_seen AND d.unused_between IS NOT NULL
ORDER BY fault DESC, subject
