-- The loss did not go down.
--
-- severity:   info
-- role:       symptom
-- confidence: probable
-- claim:      The loss went from {expected} to {observed} over {steps} steps.
-- clean:      the loss (from {expected} to {observed})
-- needs:      steps, every_step
-- nothing:    a loss of eight steps or more
-- params:     a, b, least = 8, parts = 4, few = 2, noises = 10, rise = 1.5
-- numbers:    least - losses, so that a first and a last part can be told from noise; parts - the first
-- and the last of four are compared; few - losses of a part at least, or it has no noise;
-- noises - ten times over the noise of the means is a rise; rise - and by half, which no
-- healthy run shows but in its warm-up
-- fix:        find why in the causes above; where there are none, train longer or at a higher rate, and
-- look at forensics query training-steps
-- harmless:   a warm-up, a model that knows its data already, or several models that train against each
-- other are told as info; the loss of a run's one model that rises far beyond its noise is a
-- warning
-- fires on:   zoo/large-full
with
    s as (
        select
            model,
            step,
            loss,
            count(*) over w as n,
            row_number() over (partition by model order by step) as i,
            greatest(divide(count(*) over w, parts), few) as k
        from steps
        where run = run_of(b) and not isnan(loss) and not isinf(loss)
        window w as (partition by model)
    ),
    t as (
        select
            model,
            any_value(n) as n,
            avg(loss) filter (i <= k) as first,
            avg(loss) filter (i > n - k) as last,
            stddev_samp(loss) filter (i <= k) as a_,
            stddev_samp(loss) filter (i > n - k) as b_,
            any_value(k) as k
        from s
        group by model
        having any_value(n) >= least
    ),
    u as (select *, sqrt((pow(coalesce(a_, 0), 2) + pow(coalesce(b_, 0), 2)) / k) as noise from t)
select
    'loss of ' || model as subject,
    round(last, 4) as observed,
    round(first, 4) as expected,
    last >= first - noise as fault,
    case
        when
            last > first + noises * noise
            and last > rise * first
            and first > 0
            and (select count(distinct model) from s) = 1
        then 'warning'
        else 'info'
    end as severity,
    n as steps
from u
order by fault desc, subject
