-- The trained adapter lies on another base than the one it was trained on.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, stale-model-in-generation, score-dropped, generation-collapse
-- claim:      Under the trained adapter {observed}.
-- clean:      the base under the adapter ({observed})
-- rules out:  base-not-frozen, lora-scale-mismatch
-- needs:      parameters
-- reads:      held_against, learned_values, own_moves
-- nothing:    the trained adapter on a base, a second time
-- setting:    model
-- fix:        load the base that the adapter was trained on, unchanged: the same revision, the same
-- quantization
-- harmless:   the base of training cast to another type is told as info
-- fires on:   zoo/other-release, zoo/other-in-memory
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
with
    h as (
        select *
        from held_against
        where
            capture <> capture_of(b)
            and base > 0
            and present > 0
            and after > 0
            and (model <> model_of(b) or source = 'reload')
            and (select bool_or(adapter_role(role)) from learned_values)
    ),
    kinds as (
        select
            h.capture,
            bool_and(t.dtype <> u.dtype) as other_type,
            any_value(h.recast = h.base_moved) as recast
        from h
        join placements p on p.capture = h.capture
        join own_moves m on m.canonical = p.canonical and not m.changed and p.digest <> m.digest_b
        join tensors t on t.digest = p.digest
        join tensors u on u.digest = m.digest_b
        group by h.capture
    )
select
    h.capture as subject,
    case
        when h.base_moved > 0
        then
            printf('%d of %d base tensors are not those of training', h.base_moved, h.base) || case
                when kinds.recast
                then ' (equal, but for the rounding of another type)'
                when kinds.other_type
                then ' (of another type: quantized or converted)'
                else ''
            end
        else printf('all %d base tensors are those of training', h.base)
    end as observed,
    'the base of training' as expected,
    h.base_moved > 0 as fault,
    (select any_value(c.place) from captures c where c.capture = h.capture) as place,
    case when kinds.recast then 'info' when kinds.other_type then 'warning' else 'error' end as severity
from h
left join kinds on kinds.capture = h.capture
order by fault desc, h.sequence
