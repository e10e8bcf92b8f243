-- A score of the answers fell.
--
-- severity:   warning
-- role:       symptom
-- confidence: strong
-- claim:      {subject} fell from {expected} to {observed}.
-- clean:      the scores ({looked} looked at, none fell)
-- needs:      probes
-- nothing:    a score of the same probes before and after
-- capture:    Capture with --scorer module:function, which scores the same answers before and after.
-- params:     a, b, fall = 0.1
-- numbers:    fall - of the score before; less is the noise of some ten probes
-- fix:        look at the causes above; where there are none, read the answers: forensics query
-- transcripts-diff
-- harmless:   repetition and length, which have no better side; references that ask for the old style
-- silent on:  zoo/healthy-roundtrip
with
    x as (
        select scorer, key, avg(value) as value, count(*) as n
        from scores
        where capture = probes_at(a) and value is not null
        group by scorer, key
    ),
    y as (
        select scorer, key, avg(value) as value, count(*) as n
        from scores
        where capture = probes_at(b) and value is not null
        group by scorer, key
    )
select
    'The score ' || y.scorer || case when y.key = '' then '' else ' ' || y.key end as subject,
    brief(y.value) as observed,
    brief(x.value) as expected,
    x.value - y.value > fall * abs(x.value) as fault
from x
join y on x.scorer = y.scorer and x.key = y.key
where y.scorer not in ('special-share', 'repetition', 'length')
order by fault desc, subject
