-- Rounding was left in the base by merging an adapter and taking it out again.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   wrong-base, reload-mismatch, base-weights-overwritten, generation-collapse, score-dropped
-- claim:      The base under the adapter is not put back: {observed}{seen}.
-- clean:      the base under the adapter ({looked:tensor|tensors} looked at)
-- rules out:  frozen-but-changed, unexplained-change
-- needs:      parameters, trainable
-- reads:      moves, drifted, spans
-- nothing:    a frozen base tensor under an adapter
-- fix:        keep the weights from before the merge and put them back: weight + update - update is not
-- weight again in {dtype}; or leave the base alone and ask the model with its adapter as it is
-- harmless:   in float32, where the rest is as small as what any sum rounds off (told as info)
-- fires on:   zoo/drifted-base, zoo/drifted-updates, zoo/drifted-strengths
-- silent on:  zoo/healthy-recipe, zoo/healthy-one-step
with
    looked as (
        select count(*) as n
        from moves m
        join spans s on s.model = m.model
        where
            not m.trainable
            and exists (
                from placements p
                join modules l on l.capture = p.capture and l.module = p.module
                where p.capture = s.y and p.role = 'lora_a' and l.canonical || '.weight' = m.canonical
            )
    ),
    d as (
        select
            count(*) as n,
            max(relative) as relative,
            max(merges) as merges,
            any_value(dtype order by unit desc) as dtype,
            bool_and(dtype = 'F32') as exact,
            max_by(name, relative) as name
        from drifted
    )
select
    'the base under the adapter' as subject,
    case
        when d.n = 0
        then '0 of ' || looked.n || ' tensors off by rounding'
        else
            printf(
                '%d of %d tensors are off by rounding, by up to %s of their norm (%s)',
                d.n,
                looked.n,
                percent(d.relative),
                d.name
            )
    end as observed,
    'as at the start' as expected,
    d.n > 0 as fault,
    looked.n as looked,
    case
        when d.merges > 0 then ', after it was seen merged ' || counted(d.merges, 'time') else ''
    end as seen,
    case d.dtype when 'BF16' then 'bfloat16' when 'F16' then 'float16' else 'float32' end as dtype,
    case when d.exact then 'info' end as severity,
    case when d.merges > 0 then 'certain' end as confidence
from d, looked
where looked.n > 0
order by subject
