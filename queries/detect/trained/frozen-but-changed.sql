-- Parameters outside the trainable set moved.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, base-weights-overwritten, reload-mismatch, unexplained-change,
-- adapter-incomplete
-- claim:      {n} of {looked} frozen tensors moved; first {subject}. {how}.
-- clean:      the frozen weights (none of {looked} moved)
-- rules out:  base-not-frozen
-- needs:      parameters, trainable
-- reads:      moves, drifted, recast
-- nothing:    parameters outside the trainable set
-- fix:        {fix_}
-- harmless:   a cast to another type, there or to and fro, is told as info
-- fires on:   zoo/frozen-moved-loop, zoo/frozen-moved-handmade, zoo/frozen-moved-pipeline
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
with
    acts as (
        select
            e.model,
            any_value(e.place) filter (
                e.kind = 'grad' and (e.detail ->> 'frozen_leaves')::integer > 0
            ) as grad,
            any_value(e.detail ->> 'via') filter (
                e.kind = 'grad' and (e.detail ->> 'frozen_leaves')::integer > 0
            ) as grad_via,
            any_value(e.place) filter (
                e.kind = 'update' and (e.detail ->> 'frozen_leaves')::integer > 0
            ) as updated,
            any_value(e.place) filter (
                e.kind = 'write' and (e.detail ->> 'frozen_leaves')::integer > 0
            ) as written,
            any_value(e.detail ->> 'via') filter (
                e.kind = 'write' and (e.detail ->> 'frozen_leaves')::integer > 0
            ) as write_via
        from events e
        where e.run = run_of(b)
        group by e.model
    )
select
    m.name as subject,
    case when m.changed then 'moved' else 'as at the start' end as observed,
    'as at the start' as expected,
    m.changed and (acts.grad is not null or acts.updated is not null or acts.written is not null) as fault,
    coalesce(acts.grad, acts.updated, acts.written) as place,
    case
        when acts.grad is not null
        then acts.grad_via || ' differentiates every array of the module, frozen or not'
        when acts.updated is not null
        then 'the optimizer was handed gradients of frozen tensors'
        when r.canonical is not null
        then acts.write_via || ' put them in another type, whose rounding they keep'
        when acts.written is not null
        then acts.write_via || ' wrote frozen tensors'
        else 'No recorded call moved them'
    end as how,
    case
        when acts.grad is not null
        then
            'use nn.value_and_grad(model, loss): '
            || acts.grad_via
            || ' differentiates frozen arrays too, and freeze() holds only for trainable_parameters()'
        when acts.updated is not null
        then
            'hand the optimizer the gradients of model.trainable_parameters() alone, as '
            || 'nn.value_and_grad gives them'
        when r.canonical is not null
        then 'nothing, where it is meant; else cast a copy of the model, or load the base again'
        else 'write only what model.trainable_parameters() holds'
    end as fix_,
    case
        when r.canonical is not null and acts.grad is null and acts.updated is null then 'info' else 'error'
    end as severity
from moves m
left join acts using (model)
left join recast r on r.model is not distinct from m.model and r.canonical = m.canonical
where
    not m.trainable
    and not exists (from drifted d where d.model is not distinct from m.model and d.canonical = m.canonical)
order by fault desc, m.changed desc, subject
