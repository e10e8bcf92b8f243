-- Some adapter tensors were not trainable.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   adapter-incomplete, lora-inert, reload-mismatch
-- claim:      {n} of {looked} adapter tensors were not in the trainable set: {observed}.
-- clean:      the adapter's tensors (all {looked} were trained)
-- needs:      trainable
-- reads:      enclosed, moves, spans
-- nothing:    an adapter that was trained
-- fix:        call freeze() before the conversion and not after it; unfreeze(keys=["lora_a", "lora_b"],
-- strict=False) on the model mends it
-- harmless:   lora_a frozen by its name (LoRA-FA); an adapter that is frozen as a whole and has an effect
-- fires on:   zoo/partly-loop, zoo/partly-stages
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
with
    s as materialized(select * from spans s anti join enclosed inner_ on inner_.model = s.model),
    p as materialized(
        select s.model, p.name, p.role, p.trainable
        from placements p
        join s on p.capture = s.x
        where adapter_role(p.role) and p.trainable is not null
    ),
    whole as (
        -- fresh from first to last, while something else of its model is trained: an adapter of another
        -- training may be frozen on purpose
        select m.model
        from moves m
        left join tensors t on t.digest = m.digest_b
        group by m.model
        having
            bool_or(m.trainable)
            and not bool_or(m.trainable) filter (adapter_role(m.role))
            and bool_and(t.zeros = t.size) filter (m.role = 'lora_b')
    ),
    total as (
        select model, bool_or(trainable) or bool_or(whole.model is not null) as any_trained
        from p
        left join whole using (model)
        group by model
    ),
    named as (  -- what the program froze by its name, as LoRA-FA does with the first factor
        select distinct e.model, unnest(from_json(e.detail -> 'keys', '["VARCHAR"]')) as leaf
        from events e
        where e.run = run_of(b) and e.kind = 'freeze'
    ),
    froze as (
        select max_by(place, sequence) as place
        from events
        where
            run = run_of(b)
            and kind = 'freeze'
            and sequence > (select min(sequence) from events where run = run_of(b) and kind = 'convert')
    )
select
    p.name as subject,
    case when p.trainable then 'trainable' else 'frozen ' || p.role end as observed,
    'trainable' as expected,
    not p.trainable
    and not (
        p.role = 'lora_a'
        and exists (
            from named
            where named.model is not distinct from p.model and ends_with('.' || p.name, '.' || named.leaf)
        )
    ) as fault,
    froze.place
from p
join total using (model), froze
where total.any_trained
order by fault desc, subject
