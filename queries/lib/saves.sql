-- What the program wrote.

-- Where the program fuses.
CREATE OR REPLACE MACRO fuse_place(b) AS (
    SELECT min_by(events.place, events.sequence) FROM events
    WHERE events.run = run_of(b) AND events.kind = 'fuse'
);
