-- Of the base, scales or biases of quantized weights moved, and nothing else.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, base-weights-overwritten, base-not-frozen, frozen-but-changed, reload-mismatch,
-- unexplained-change, adapter-not-loaded, adapter-incomplete
-- claim:      {n} of {looked} scales and biases of quantized weights moved, while the codes stayed; first
-- {subject}.
-- clean:      the scales and biases of quantized weights (none of {looked} moved)
-- needs:      parameters
-- reads:      moves
-- nothing:    quantized weights
-- fix:        freeze the quantized layers: unfreeze(keys=["lora_a", "lora_b"], strict=False) leaves their
-- scales and biases alone
-- fires on:   zoo/scales-qlora, zoo/scales-compiled
-- silent on:  zoo/healthy-qlora
with
    m as materialized(select * from moves where not adapter_role(role)),
    codes as (
        select count(*) as n
        from m
        where
            changed
            and role not in ('scales', 'biases')
            and exists (
                select 1
                from m s
                where s.role = 'scales' and s.model is not distinct from m.model and s.module = m.module
            )
    ),
    freed as (select max_by(place, sequence) as place from events where run = run_of(b) and kind = 'unfreeze')
select
    m.name as subject,
    case when m.changed then 'moved' else 'as before' end as observed,
    'as before' as expected,
    m.changed and codes.n = 0 as fault,
    freed.place
from m, codes, freed
where m.role in ('scales', 'biases')
order by fault desc, subject
