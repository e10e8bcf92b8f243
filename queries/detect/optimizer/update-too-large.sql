-- Training changed the weights out of proportion.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   weights-not-finite, loss-not-decreasing, generation-collapse
-- claim:      {subject}: {observed}; {expected}.
-- clean:      the size of the update ({observed})
-- needs:      parameters
-- reads:      adapted_at_end, moves, spans
-- nothing:    trained weights whose change was measured
-- fix:        lower the learning rate (1e-5 to 2e-4 for an adapter's Adam is common), warm it up, and
-- divide the adapter's scale by the factor by which its rank or alpha grew
-- fires on:   zoo/large-loop, zoo/large-full
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
with
    e as materialized(select * from spans),
    w as (
        -- norms of the layers that adapters stand on; of a quantized one about what its scales and number of
        -- codes give
        select
            e.model,
            p.module,
            max(p.l2) filter (p.leaf = 'weight') as plain,
            max(p.l2) filter (p.role = 'scales') as scales,
            max(regexp_replace(p.canonical, '\.[^.]*$', '')) as canonical,
            any_value((x.attributes ->> 'bits')::integer) as bits,
            any_value((x.attributes ->> 'group_size')::integer) as width
        from parameters p
        join e on p.capture = e.y
        left join modules x on x.capture = p.capture and x.module = p.module
        where not adapter_role(p.role)
        group by e.model, p.module
    ),
    f as (
        select
            e.model,
            p.module,
            max(p.l2) filter (p.role = 'lora_a') as a_,
            max(p.l2) filter (p.role = 'lora_b') as b_
        from parameters p
        join e on p.capture = e.y
        where p.role in ('lora_a', 'lora_b')
        group by e.model, p.module
    ),
    adapters_ as (
        -- a product of factors that know nothing of each other has their norms over the root of the rank
        select
            f.model,
            x.canonical as name,
            x.scale
            * f.a_
            * f.b_
            / sqrt(x.rank)
            / nullif(
                case
                    when w.scales is null
                    then w.plain
                    else (pow(2, coalesce(w.bits, 4)) - 1) / 5.0 * w.scales * sqrt(coalesce(w.width, 64))
                end,
                0
            ) as size
        from f
        join adapted_at_end x on x.module = f.module and x.model is not distinct from f.model
        join w on w.canonical = x.canonical and w.model is not distinct from f.model
        where x.scale is not null
    ),
    plain_ as (
        select m.model, m.name, d.relative as size
        from moves m
        join deltas d on d.digest_a = m.digest_a and d.digest_b = m.digest_b
        where
            m.changed
            and not adapter_role(m.role)
            and m.role in ('base', 'embedding', 'head')
            and d.relative is not null
    ),
    every as (
        select *
        from adapters_
        where size is not null
        union all
        select *
        from plain_
    ),
    l as (
        select
            model,
            min_by(loss, step) as first,
            avg(loss) filter (step > 0.75 * n) as last,
            min(step) filter (nonfinite > 0 or isnan(loss) or isnan(update_norm)) as broke
        from (select *, max(step) over (partition by model) as n from steps where run = run_of(b))
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
        select model, median(size) as size, arg_max(name, size) as name, max(size) as most, count(*) as n
        from every
        where isfinite(size)
        group by model
    )
select
    m.name as subject,
    'the update is ' || case
        when m.size < 0.01
        then 'under 0.01'
        when m.size < 100
        then round(m.size, 2)::varchar
        else printf('%.3g', m.size)
    end
    || ' times the weight, in the middle of '
    || m.n
    || ' layers' as observed,
    case
        when l.first is null
        then 'an adaptation is well below 1'
        else 'the loss went from ' || round(l.first, 2) || ' to ' || round(l.last, 2)
    end as expected,
    m.size > 30 or (m.size > 2 and coalesce(l.last > l.first, false)) as fault,
    (select any_value(place) from events where run = run_of(b) and kind = 'update') as place
from middle m
left join l on l.model is not distinct from m.model
union all
select
    'update ' || before.step,
    'its norm is ' || round(before.most, 1) || ' times that of the parameters',
    'step ' || l.broke || ' is not finite any more',
    before.most > 1,
    (select any_value(place) from events where run = run_of(b) and kind = 'update')
from before
join l using (model)
where before.most is not null
order by fault desc, subject
