-- Optimizers that took over where a model had been trained already. `stage`: the same object, once another
-- optimizer was done. `resume`: another object, which begins where a trained one ended.
-- `kept`: it went on from a state; `same`: class, rate and settings are those of the one before;
-- `times`: how often optimizers of one making began anew on this model.
--
-- params: b
-- reads:  optimizer_phases, successors
with
    stages as (
        select
            y.model,
            x.done as before,
            y.class,
            y.n,
            y.step > y.n as kept,
            x.rate = y.rate and x.settings = y.settings and x.class = y.class as same,
            count(*) filter (
                y.step <= y.n and x.settings = y.settings and x.class = y.class and x.tensors = y.tensors
            ) over (partition by y.model) as times,
            'stage' as kind
        from optimizer_phases y
        asof join optimizer_phases x on x.model = y.model and x.last < y.first
        where x.captured and y.captured and y.state > 0
    )
from stages
union all
select
    l.model,
    x.n as before,
    s.class,
    y.n,
    s.step > 0 and s.state_l2 > 0 as kept,
    x.rate = y.rate and x.settings = y.settings and x.class = y.class as same,
    0 as times,
    'resume' as kind
from successors l
join optimizer_phases x on x.model = l.former and x.captured
join optimizer_phases y on y.model = l.model and y.captured
join captures c on c.run = run_of(b) and c.model = l.model and c.point = 'start'
join optimizers s on s.capture = c.capture and s.optimizer = y.optimizer
where y.state > 0
