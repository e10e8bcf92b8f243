-- Tensors in the file hold the model's numbers in another order.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   reload-mismatch, stale-model-in-generation, saved-before-last-update, wrong-base, score-dropped
-- claim:      {n:tensor|tensors} in the file hold the numbers of the live model in another order: first
-- {subject}, {observed}.
-- clean:      the order of values in what was saved ({looked:tensor|tensors} looked at)
-- rules out:  saved-untrained, saved-before-last-update, adapter-incomplete
-- needs:      saved, parameters, end
-- nothing:    a saved file of this model
-- params:     a, b, rounding = 1e-9
-- numbers:    rounding - of equal numbers, added in another order they differ in the last digits of a
-- double
-- fix:        write rows in the order in which the loader reads them: of q and k, heads are put in order by
-- num_attention_heads and num_key_value_heads each
-- harmless:   a layout that the file's format declares, which is read as it says
-- fires on:   zoo/rows-reordered
-- silent on:  zoo/healthy-roundtrip
with
    live as (
        select
            p.canonical, p.name, p.shape, p.dtype, p.digest, p.value_digest, p.mean, p.std, p.min, p.max, p.l2
        from parameters p
        where p.capture = capture_of(b) and p.role is distinct from 'optimizer'
    ),
    filed as (
        select
            p.canonical,
            p.shape,
            p.dtype,
            p.digest,
            p.value_digest,
            p.mean,
            p.std,
            p.min,
            p.max,
            p.l2,
            c.place
        from parameters p
        join captures c using (capture)
        where c.run = run_of(b) and c.model = model_of(b) and c.point = 'saved'
    ),
    both_ as (  -- of equal numbers, sums differ in the last digits alone, by the order of adding
        select
            live.name,
            live.shape,
            filed.place,
            live.digest <> filed.digest
            and live.value_digest is distinct from coalesce(filed.value_digest, filed.digest)
            and live.dtype = filed.dtype
            and live.std > 0
            and live.min = filed.min
            and live.max = filed.max
            and abs(live.std - filed.std) <= rounding * live.std
            and abs(live.l2 - filed.l2) <= rounding * live.l2
            and abs(live.mean - filed.mean) <= rounding * live.std as other_order
        from live
        join filed using (canonical)
        where live.shape = filed.shape
    )
select
    name as subject,
    case
        when other_order
        then 'the same mean, deviation, least and greatest value, and not the same bytes'
        else 'in its order, or other numbers'
    end as observed,
    'the order of the live model' as expected,
    other_order as fault,
    place
from both_
order by fault desc, subject
