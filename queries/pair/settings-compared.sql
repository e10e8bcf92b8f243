-- What the program declared of its adapter and its training, beside what is there at b or was done in its
-- run:
-- one row a setting. What detectors compare as well agrees here where they find no fault.
--
-- params: a, b
-- long:   one line for each setting that the report shows
-- reads:  adapter_compared, declared_adapters, scales_compared
with
    meant as (
        select
            any_value(kind order by via) as kind,
            any_value(rank order by via) as rank,
            any_value(scale order by via) as scale,
            any_value(dropout order by via) as dropout,
            any_value(num_layers order by via) as num_layers,
            any_value(array_to_string(nullif(keys, []), ', ') order by via) as keys
        from declared_adapters
    ),
    seen as (
        select
            count(*) as n,
            any_value(kind) as kind,
            any_value(rank) as rank,
            any_value(scale) as scale,
            any_value(dropout) as dropout,
            any_value(num_layers) as num_layers,
            any_value(array_to_string(from_json(keys, '["VARCHAR"]'), ', ')) as keys,
            (select count(*) > 0 from placements where capture = capture_of(b)) as looked
        from adapters
        where capture = capture_of(b) and origin = 'observed'
    ),
    disputed as (  -- what a detector finds, in its words
        select subject, any_value(expected) as expected, any_value(observed) as observed
        from
            (
                select if(subject = 'kind', 'adapter', subject) as subject, expected, observed
                from adapter_compared
                where fault
                union all
                select 'scale', brief(expected) || ', by ' || said_by(via), brief(observed)
                from scales_compared
                where fault
            )
        group by subject
    ),
    lines as (
        select
            unnest(
                [
                    ('adapter', meant.kind, seen.kind, seen.kind in (select kind from declared_adapters)),
                    (
                        'adapter rank',
                        meant.rank::varchar,
                        seen.rank::varchar,
                        seen.rank in (select rank from declared_adapters)
                    ),
                    ('adapter scale', brief(meant.scale), brief(seen.scale), true),
                    (
                        'adapter dropout',
                        brief(meant.dropout),
                        brief(seen.dropout),
                        close_to(seen.dropout, meant.dropout)
                    ),
                    ('layers with adapter', meant.num_layers::varchar, seen.num_layers::varchar, true),
                    ('adapted modules', meant.keys, seen.keys, true)
                ]
            ) as line,
            seen.n = 0 as absent,
            seen.looked
        from meant, seen
    ),
    told as (
        select max_by(detail -> 'declared', sequence) as what
        from events
        where run = run_of(b) and model = model_of(b) and kind = 'train'
    ),
    done as (
        select count(*) as n, max(learning_rate) as rate
        from steps
        where run = run_of(b) and model = model_of(b)
    ),
    due as (
        select
            divide(
                try_cast(what ->> 'iters' as bigint),
                greatest(1, coalesce(try_cast(what ->> 'grad_accumulation_steps' as bigint), 1))
            ) as n,
            if((what ->> 'scheduled')::boolean, null, try_cast(what ->> 'learning_rate' as double)) as rate
        from told
    )
select
    line[1] as setting,
    coalesce(d.expected, line[2]) as declared,
    case
        when not absent then coalesce(d.observed, line[3]) when looked then 'no adapter' else 'not seen'
    end as observed,
    if(absent, not looked, line[4] and d.subject is null) as agrees
from lines
left join
    disputed d
    on not absent
    and d.subject = map{
        'adapter':'adapter',
        'adapter scale':'scale',
        'layers with adapter':'layers',
        'adapted modules':'targets'
    }[line[1]]
where line[2] is not null and line[2] <> 'not measured' and (absent or line[3] <> 'not measured')
union all
select 'updates', printf('%,d', due.n), printf('%,d', done.n), due.n = done.n
from due, done
where due.n is not null
union all
select 'learning rate', brief(due.rate), brief(done.rate), close_to(done.rate, due.rate)
from due, done
where due.rate is not null and done.rate is not null
