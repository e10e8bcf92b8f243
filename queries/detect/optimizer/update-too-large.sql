-- Training changed the weights out of proportion.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   weights-not-finite, loss-not-decreasing, generation-collapse
-- claim:      Training changed the weights by {observed}.
-- clean:      the size of the update ({observed})
-- needs:      parameters
-- reads:      losses_risen, update_sizes
-- nothing:    trained weights whose change was measured
-- params:     a, b, far = 30, large = 2
-- numbers:    far - times a loaded weight is no adaptation any more; large - times the weight, where the loss
-- rose as well, while healthy adapters stay below 1
-- setting:    learning_rate
-- fix:        lower the learning rate (1e-5 to 2e-4 for an adapter's Adam is common), warm it up, and
-- divide the adapter's scale by the factor by which its rank or alpha grew
-- fires on:   zoo/large-loop, zoo/large-full
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
with
    l as (
        select model, min(step) filter (nonfinite > 0 or isnan(loss) or isnan(update_norm)) as broke
        from steps
        where run = run_of(b)
        group by model
    ),
    before as (  -- finite updates as large as the parameters themselves, and then no number any more
        select
            s.model,
            max(s.update_norm / nullif(s.parameter_norm, 0)) as most,
            min_by(s.step, - s.update_norm / nullif(s.parameter_norm, 0)) as step
        from steps s
        join l using (model)
        where s.run = run_of(b) and l.broke is not null and s.step < l.broke and not isnan(s.update_norm)
        group by s.model
    ),
    middle as (
        select
            model,
            median(size) as size,
            median(size) filter (known) as loaded,
            arg_max(name, size) as name,
            max(size) as most,
            count(*) as n
        from update_sizes
        where isfinite(size)
        group by model
    )
select
    'the update of ' || counted(m.n, 'layer') as subject,
    brief(m.size)
    || ' times their size (the median of '
    || counted(m.n, 'layer')
    || '; most in '
    || m.name
    || ')'
    || coalesce('; ' || h.words, '') as observed,
    'well below 1, and a loss that falls' as expected,
    coalesce(m.loaded > far, false) or (m.size > large and coalesce(h.rose, false)) as fault,
    if(coalesce(h.rose, false), 'error', 'warning') as severity,
    optimizer_place(b) as place
from middle m
left join losses_risen h on h.model is not distinct from m.model
union all
select
    'update ' || before.step,
    brief(before.most) || ' times the norm of all parameters in one update',
    'step ' || l.broke || ' is finite',
    before.most > 1,
    'error',
    optimizer_place(b)
from before
join l using (model)
where before.most is not null
order by fault desc, subject
