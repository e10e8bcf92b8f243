-- The loss did not go down.
--
-- severity:   info
-- role:       symptom
-- confidence: probable
-- claim:      The loss went from {expected} to {observed} over {steps} steps.
-- clean:      the loss (from {expected} to {observed})
-- needs:      steps, every_step
-- nothing:    a loss of eight steps or more
-- fix:        find why in the causes above; where there are none, train longer or at a higher rate, and
-- look at forensics query training-steps
-- harmless:   a warm-up, or a model that knows its data already: told as info; a loss that rises far
-- beyond its noise is a warning
-- fires on:   zoo/large-full
with
    s as (
        select
            model, step, loss, count(*) over w as n, row_number() over (partition by model order by step) as i
        from steps
        where run = run_of(b) and not isnan(loss) and not isinf(loss)
        window w as (partition by model)
    ),
    t as (
        select
            model,
            any_value(n) as n,
            avg(loss) filter (i <= greatest(divide(n, 4), 2)) as first,
            avg(loss) filter (i > n - greatest(divide(n, 4), 2)) as last,
            stddev_samp(loss) filter (i <= greatest(divide(n, 4), 2)) as a_,
            stddev_samp(loss) filter (i > n - greatest(divide(n, 4), 2)) as b_,
            greatest(divide(any_value(n), 4), 2) as k
        from s
        group by model
        having any_value(n) >= 8
    ),
    u as (select *, sqrt((pow(coalesce(a_, 0), 2) + pow(coalesce(b_, 0), 2)) / k) as noise from t)
select
    'loss of ' || model as subject,
    round(last, 4) as observed,
    round(first, 4) as expected,
    last >= first - noise as fault,
    case
        when last > first + 10 * noise and last > 1.5 * first and first > 0 then 'warning' else 'info'
    end as severity,
    n as steps
from u
order by fault desc, subject
