-- Base weights were trained beside the adapter.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, base-weights-overwritten, reload-mismatch, adapter-incomplete,
-- adapter-not-loaded
-- claim:      {n:base tensor|base tensors} stood in the trainable set beside the adapter and moved; first
-- {subject}.
-- clean:      the base weights (none of {looked} was trained)
-- rules out:  frozen-but-changed
-- needs:      parameters, trainable
-- reads:      made, moves
-- nothing:    an adapter that was trained
-- fix:        {fix_}
-- harmless:   what the program made itself, as a head is; an embedding, head or norm outside the adapted
-- layers that was unfrozen on purpose is told as info
-- fires on:   zoo/unfrozen-loop, zoo/unfrozen-classes, zoo/unfrozen-resume
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
with
    frees as (
        select
            e.model,
            max_by(e.place, e.sequence) filter (e.kind = 'unfreeze') as unfrozen,
            count(*) filter (e.kind = 'freeze') as freezes,
            count(*) filter (e.kind = 'unfreeze') as unfreezes,
            any_value(e.place) filter (
                e.kind = 'load'
                and e.detail ->> 'what' in ('adapter', 'weights')
                and e.detail ->> 'via' <> 'reload'
            ) as loaded,
            any_value(e.place) filter (e.kind = 'convert') as converted
        from events e
        where e.run = run_of(b)
        group by e.model
    ),
    m as materialized(
        select moves.*, trainable and changed and role not in ('scales', 'biases') as bad
        from moves moves
        anti join
            made made on made.model is not distinct from moves.model and made.canonical = moves.canonical
        where moves.adapter and not adapter_role(moves.role)
    ),
    whole as (select bool_and(role in ('embedding', 'head', 'norm', 'bias')) as outside from m where bad)
select
    m.name as subject,
    case
        when m.bad then 'trained, and moved' when m.trainable then 'trainable, did not move' else 'frozen'
    end as observed,
    'frozen' as expected,
    coalesce(m.bad, false) as fault,
    case when whole.outside and frees.unfreezes > 0 then 'info' else 'error' end as severity,
    case
        when frees.unfreezes > 0 and frees.freezes > 0
        then frees.unfrozen
        else coalesce(frees.loaded, frees.converted)
    end as place,
    case
        when frees.unfreezes > 0 and frees.freezes > 0
        then 'unfreeze the adapter alone: unfreeze(keys=["lora_a", "lora_b"], strict=False)'
        when frees.loaded is not null
        then 'call model.freeze() before load_adapters(model, path): loading does not freeze the base'
        else 'call model.freeze() before the adapter is put in'
    end as fix_
from m
left join frees using (model), whole
order by fault desc, m.role = 'bias', subject
