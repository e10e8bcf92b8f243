-- Weights hold NaN or infinity.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   wrong-base, loss-not-decreasing, generation-collapse, reload-mismatch, lora-starts-nonzero,
-- output-unchanged, base-weights-overwritten, update-too-large, answers-truncated, dropout-in-generation,
-- stale-prompt-cache, stale-compiled-function
-- claim:      {bad} of {whole} tensors hold NaN or infinity; {first}.
-- clean:      the weights (all of {looked:tensor is|tensors are} finite)
-- needs:      parameters
-- long:       what came first decides the cure, and each has its sentence
-- reads:      first_nonfinite, spans
-- nothing:    parameters with statistics
-- setting:    learning_rate
-- fix:        {fix_}
-- harmless:   infinities that stood there before training and never moved, as those of a mask do
-- fires on:   zoo/nan-half, zoo/nan-loop
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
with
    t as materialized(
        select
            p.capture,
            p.name,
            p.nans,
            p.infs,
            p.size,
            p.dtype,
            coalesce(p.nans, 0) + coalesce(p.infs, 0) > 0 as bad,
            before.bad as already,
            before.digest = p.digest as still
        from parameters p
        join (select distinct y, x from spans) e on p.capture = e.y
        left join
            lateral(
                select coalesce(q.nans, 0) + coalesce(q.infs, 0) > 0 as bad, q.digest
                from parameters q
                where q.capture = e.x and q.name = p.name and p.capture <> e.x
                limit 1
            ) before
            on true
        where p.role <> 'optimizer' and p.nans is not null
    ),
    half as (select mode(dtype) filter (bad) as dtype from t),
    judged as (
        select *, t.bad and not (coalesce(t.already, false) and t.nans = 0 and t.still) as fault from t
    ),
    counts as (select count(*) filter (fault) as bad, count(*) as whole from judged),
    said as (
        select
            case
                when s.origin is null
                then 'no step showed it'
                when s.origin = 'update'
                then
                    'the update of step '
                    || s.update_at
                    || ' made them, out of a finite loss and finite gradients'
                    || coalesce(', first in ' || s.name, '')
                when s.origin = 'gradient'
                then
                    'the gradient of step '
                    || s.gradient_at
                    || ' brought them, from a finite loss'
                    || coalesce(', first in ' || s.name, '')
                when s.logits
                then 'the logits of step ' || s.loss_at || ' were the first that were not finite'
                when s.mask_left > 0
                then
                    'the loss of step '
                    || s.loss_at
                    || ' was the first that was not finite, though its mask leaves '
                    || counted(s.mask_left, 'position')
                else 'the loss of step ' || s.loss_at || ' was the first that was not finite'
            end as first,
            case
                when s.origin = 'update' and half.dtype = 'F16'
                then 'Adam''s eps of 1e-8 is 0 in float16: train in bfloat16 or float32, or pass eps=1e-4'
                when s.origin = 'gradient'
                then
                    'look for a square root, logarithm or division at 0 in the loss: its value is '
                    || 'finite and its gradient is not'
                when s.origin = 'loss' and s.logits
                then 'look at what the model computes of the batch of step ' || s.loss_at
                when s.origin = 'loss' and s.mask_left > 0
                then
                    'look for a logarithm of 0, a division by 0, or a 0 times an infinity in the loss: '
                    || 'mx.maximum(x, 1e-9) inside the logarithm, mx.where in place of a product with a mask'
                when s.origin = 'loss'
                then
                    'look at the batch of step '
                    || s.loss_at
                    || ': a division by a mask''s sum needs mx.maximum(sum, 1)'
                else 'stop where a loss or gradient is not finite'
            end as fix_,
            coalesce(s.first_at, 0) as first_at,
            case when s.origin in ('loss', 'gradient') then loss_place(b) else optimizer_place(b) end as place
        from first_nonfinite s, half
    )
select
    'step ' || said.first_at as subject,
    said.first as observed,
    'finite numbers' as expected,
    true as fault,
    said.*,
    counts.*
from said, counts
where said.first_at > 0 and counts.bad > 0
union all
select
    judged.name,
    case
        when judged.bad
        then
            judged.nans
            || ' NaN, '
            || judged.infs
            || ' infinite of '
            || judged.size
            || case when judged.already then ', before training already' else '' end
        else 'finite'
    end,
    'finite',
    judged.fault,
    said.*,
    counts.*
from judged, said, counts
order by fault desc, subject not like 'step %', subject
