-- What was measured had been trained on.
--
-- severity:   warning
-- role:       cause
-- confidence: strong
-- explains:   score-dropped
-- claim:      {observed}.
-- clean:      what was measured ({observed})
-- needs:      run
-- reads:      asked_after
-- nothing:    an evaluation, or three questions to the trained model
-- capture:    Capture with --prompts FILE, of three questions or more.
-- params:     a, b, least = 3, many = 8
-- numbers:    least - questions, one or two are a look; many - questions for a measurement, fewer are a
-- demonstration (info)
-- setting:    data
-- fix:        hold rows back before training (train, held = rows[:-n], rows[-n:]), and measure on these
-- alone
-- harmless:   a few trained questions asked as a demonstration; all training rows and no others, given to
-- mlx-lm's evaluation by the program itself (both told as info)
-- fires on:   zoo/seen-roundtrip, zoo/seen-tuner
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-held-out
with
    asked as (
        select
            count(distinct prompt_digest) as n,
            count(distinct prompt_digest) filter (trained_on) as seen,
            any_value(asked_at) as place
        from asked_after
        where trained_on is not null
    ),
    measured as (
        select
            sum(records) as n,
            sum(used) as seen,
            any_value(place) as place,
            -- every training row, and no other, by a call of the program's own: what was learned is looked at
            bool_and(
                used = records and records >= (select max(rows_seen) from datasets where run = run_of(b))
            )
            and not coalesce(
                any_value(place)
                in (select place from events where run = run_of(b) and kind = 'train' and place is not null),
                false
            ) as meant
        from datasets
        where run = run_of(b) and source = 'forward' and used is not null
    )
select
    'questions to the trained model' as subject,
    seen || ' of ' || n || ' questions were training rows' as observed,
    'questions that were held back' as expected,
    seen = n as fault,
    place,
    case when n >= many then 'warning' else 'info' end as severity
from asked
where n >= least
union all
select
    'rows that were evaluated',
    seen || ' of ' || n || ' rows that were evaluated had been trained on',
    'rows that were held back',
    seen = n,
    place,
    if(meant, 'info', 'warning')
from measured
where n > 1
order by fault desc, subject
