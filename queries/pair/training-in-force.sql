-- What a run's training did, beside what may be declared of it. One row, of the model that b means.
-- `untouched`: updates whose gradient came to the optimizer as it was evaluated; `norm_most`: the largest
-- norm of these, of gathered gradients that of one on average. `tensor_most`: the same of one parameter.
-- `asked_norm`: what clip_grad_norm was given, where all calls were given the same.
--
-- params: b, whole = 0.99
-- numbers: whole - share of a gradient that came to the optimizer where nothing was taken off but rounding
-- reads:  optimizer_phases
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    s as (
        select
            count(*) as updates,
            count(learning_rate) as rates,
            min(abs(learning_rate)) as rate_least,
            max(abs(learning_rate)) as rate_most,
            min_by(abs(learning_rate), step) as rate_first,
            -- what clipping made smaller has passed in part
            count(gradient_norm) filter (coalesce(passed, 1) > whole) as untouched,
            max(gradient_norm / if(passed is null, greatest(gradients, 1), 1)) filter (
                coalesce(passed, 1) > whole
            ) as norm_most
        from steps
        join k using (run, model)
    ),
    o as (
        select
            any_value(class) as class,
            any_value(try_cast(settings ->> 'weight_decay' as double)) as decay,
            coalesce(bool_or((settings ->> 'relative_step')::boolean), false) as relative
        from optimizer_phases
        join k using (model)
    ),
    c as (
        select
            if(
                count(distinct detail ->> 'max_norm') = 1 and count(*) = count(detail ->> 'max_norm'),
                max((detail ->> 'max_norm')::double),
                null
            ) as norm,
            any_value(place) as place
        from events
        where run = run_of(b) and kind = 'grad' and detail ->> 'via' = 'clip_grad_norm'
    ),
    r as (select max(width) as width, max(tokens) as tokens from batch_rows join k using (run, model)),
    g as (select max(gradient_norm) as norm from gradients join k using (run, model)),
    u as (select count(distinct model) as models from events where run = run_of(b) and kind = 'update')
select
    s.* replace(if(o.class = 'MultiOptimizer', 0, s.rates) as rates),  -- each of its optimizers has a rate
    o.class,
    o.decay,
    o.relative,
    g.norm as tensor_most,
    c.norm as asked_norm,
    c.place as asked_place,
    r.width,
    r.tokens,
    optimizer_place(b) as place,
    u.models,
    (select count(*) from schedules where run = run_of(b)) as schedules
from s, o, c, r, u, g
