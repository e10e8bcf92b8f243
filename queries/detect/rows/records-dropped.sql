-- Records of the training file never reach the model.
--
-- severity:   warning
-- role:       cause
-- confidence: possible
-- explains:   score-dropped
-- claim:      No row holds {observed} of {file}, in any of the {passes} passes over the others.
-- clean:      the records (no row holds {observed} of {file})
-- rules out:  same-batch-repeated
-- needs:      run, every_row
-- nothing:    a training file whose records were looked for in the rows of two passes
-- params:     a, b, share = 0.1, often = 2
-- numbers:    share - of the records, fewer are customary, as a last batch that is not full; often -
-- passes over the rows that are used, after one, what is missing may still come
-- setting:    max_seq_length, data
-- fix:        count what the loader skips, and raise where it is more than you expect; look for records
-- without the expected keys, and for a last row that is never emitted
-- harmless:   rows that are drawn from the records, in other company each time; rows that are held back
-- and measured; a first or last part of a file that is left out; the last batch where it is not full
-- fires on:   zoo/dropped-collator, zoo/dropped-packed
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-held-out, zoo/healthy-command-masked
select
    coalesce(d.file, 'data set') as subject,
    printf('%d of %d records', d.unused, d.records) as observed,
    'every record' as expected,
    d.unused_between > 0 and d.unused_between >= share * d.records and d.unused > d.batch - 1 as fault,
    d.place,
    d.file,
    (d.rows_drawn / nullif(d.rows_seen, 0))::integer as passes
from
    (
        select
            x.*,
            x.records - x.used as unused,
            coalesce(
                (
                    select max((e.detail -> 'declared' ->> 'batch_size')::integer)
                    from events e
                    where e.run = run_of(b) and e.kind = 'train'
                ),
                1
            ) as batch
        from datasets x
        where x.run = run_of(b) and x.source = 'file' and x.purpose in ('train', 'unknown')
    ) d
where d.used > 0 and d.rows_drawn >= often * d.rows_seen and d.unused_between is not null
order by fault desc, subject
