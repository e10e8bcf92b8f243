-- The largest gradient, update and rate of each trained model's steps; of several models the least of them.
-- `passed`: the largest share of a gradient that reached its optimizer.
--
-- params: b
select
    sum(n) as steps,
    sum(measured) as measured,
    max(passed) as passed,
    min(gradient) as gradient,
    min(change) as change,
    min(rate) as rate,
    sum(rates) as rates,
    arg_min(forwards, gradient) as forwards
from
    (
        select
            count(*) as n,
            count(s.gradient_norm) as measured,
            max(s.gradient_norm) as gradient,
            max(s.update_norm) as change,
            max(coalesce(s.passed, abs(s.accumulation))) as passed,
            max(abs(s.learning_rate)) as rate,
            count(s.learning_rate) as rates,
            max(s.forwards) as forwards
        from steps s
        where s.run = run_of(b)
        group by s.model
    )
