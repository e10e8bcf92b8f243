-- Parameters moved where nothing that was seen moves them.
--
-- severity:   error
-- role:       cause
-- confidence: probable
-- explains:   base-weights-overwritten, reload-mismatch, wrong-base, generation-collapse
-- claim:      {n:tensor|tensors} outside the trainable set moved, and no update or write that was
-- seen explains it: {subject} {observed}.
-- clean:      changes outside the trainable set ({looked:tensor|tensors} looked at)
-- rules out:  base-not-frozen, frozen-but-changed
-- needs:      parameters, trainable, every_event
-- reads:      meant_free, moves
-- nothing:    tensors outside the trainable set
-- fix:        look for assignments in place (weight[...] = ..., weight += ...) between {from_} and {to_};
-- a frozen tensor is not to be written
-- harmless:   running statistics of a layer; weights merged into while their adapter begins anew; weights
-- that were put back
-- fires on:   zoo/in-place-row, zoo/in-place-norm
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-continued
with
    k as materialized(select run_of(b) as run, model_of(b) as model),
    touched as (
        select coalesce(bool_or((e.detail ->> 'frozen_leaves')::integer > 0), false) as any_
        from events e
        join k on e.run = k.run and e.model = k.model
        where e.kind in ('update', 'write')
    ),
    loads as (
        select count(*) as n
        from events e
        join k on e.run = k.run and e.model = k.model
        where
            e.kind in ('load', 'fuse', 'convert')
            and e.detail ->> 'via' is distinct from 'reload'
            and e.sequence > (
                select min(x.sequence)
                from events x
                join k on x.run = k.run and x.model = k.model
                where x.kind = 'update'
            )
    )
select
    m.name as subject,
    case
        when m.changed then 'moved' || coalesce(printf(' by at most %.3g', d.max_abs), '') else 'is as it was'
    end as observed,
    'as it was' as expected,
    m.changed and not touched.any_ and loads.n = 0 as fault,
    began(a, b) as from_,
    capture_of(b) as to_
from moves m
left join deltas d on d.digest_a = m.digest_a and d.digest_b = m.digest_b, touched, loads
where
    not m.trainable
    and not exists (
        from meant_free f where f.model is not distinct from m.model and f.canonical = m.canonical
    )
order by fault desc, subject
