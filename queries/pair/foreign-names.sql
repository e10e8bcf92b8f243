-- Files of an adapter that nothing loaded, neither the program nor our own reload, and whose names the model
-- has not: they end as the model's own do (lora_a, lora_b), or lie beside a configuration of mlx-lm's form.
-- A loader that goes by names finds no place for them. PEFT spells names otherwise, and has a configuration
-- of another form.
--
-- params: b
-- reads:  adapter_loads
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    live as (  -- what the model's parameters were called at any time
        select distinct p.name, p.canonical, p.leaf, adapter_role(p.role) as adapter
        from placements p
        join captures c on c.capture = p.capture
        join k on c.run = k.run and c.model = k.model
        where c.source = 'live'
    ),
    own as (
        select name
        from live
        union
        select canonical
        from live
    ),
    leaves as (select distinct leaf from live where adapter),
    beside as (  -- adapter tensors in a file whose configuration is read by mlx-lm
        select p.name
        from placements p
        join captures c on c.capture = p.capture
        join k on c.run = k.run and c.model = k.model
        where
            c.source = 'file'
            and adapter_role(p.role)
            and exists (
                from configs f where f.capture = c.capture and f.kind = 'adapter' and f.key = 'fine_tune_type'
            )
    )
select
    s.process,
    s.save,
    any_value(s.file) as file,
    any_value(s.place) as place,
    count(*) as names,
    count(*) filter (own.name is null) as others
from saved_tensors s
join k on s.run = k.run and (s.model = k.model or s.model is null)
left join own on own.name = s.name or own.name = s.canonical
where not exists (from adapter_loads l where l.model = k.model and l.names > 0)
group by s.process, s.save
having
    count(*) filter (
        own.name is null
        and (
            s.name in (select name from beside)
            or (s.model is not null and regexp_extract(s.name, '[^.]+$') in (select leaf from leaves))
        )
    )
    > 0
