-- A fresh adapter changes the output before any update.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   update-too-large, output-unchanged
-- claim:      Before the first update {n} of {looked} adapters already change the output; first
-- {subject}: {observed}.
-- clean:      the fresh adapter (it changes nothing before the first update, {looked:layer|layers})
-- needs:      run, every_event
-- long:       four captures around the moment at which the adapter came, which no other detector needs
-- nothing:    a fresh adapter, before its first update
-- fix:        begin with lora_b = mx.zeros(...) (for DoRA, with m the row norms of the base weight), so
-- that training starts from the base model
-- harmless:   an adapter that was loaded to train on with
-- fires on:   zoo/nonzero-loop, zoo/nonzero-handmade
-- silent on:  zoo/healthy-step-0
with
    first as materialized(
        select min_by(c.capture, c.sequence) as capture, min(c.sequence) as sequence
        from captures c
        join placements p on p.capture = c.capture
        where
            c.run = run_of(b)
            and c.model = model_of(b)
            and c.source = 'live'
            and coalesce(c.updates, 0) = 0
            and adapter_role(p.role)
    ),
    last as materialized(  -- adapters may be filled after they are put in
        select
            coalesce(
                (
                    select max_by(c.capture, c.sequence)
                    from captures c
                    where
                        c.run = run_of(b)
                        and c.model = model_of(b)
                        and c.source = 'live'
                        and c.point = 'start'
                        and coalesce(c.updates, 0) = 0
                ),
                first.capture
            ) as capture
        from first
        where first.capture is not null
    ),
    before as materialized(
        select max_by(c.capture, c.sequence) as capture
        from captures c, first
        where
            c.run = run_of(b) and c.model = model_of(b) and c.source = 'live' and c.sequence < first.sequence
    ),
    filled as (  -- weights that came from a file are no fresh adapter; those of the base fill none
        select count(*) as n
        from events
        where
            run = run_of(b)
            and kind = 'load'
            and (model = model_of(b) or (model is null and detail ->> 'what' = 'arrays'))
            and (
                detail ->> 'what' = 'adapter'
                or coalesce((detail ->> 'from_adapter')::boolean, detail ->> 'what' = 'weights')
            )
            and coalesce(detail ->> 'via', '') <> 'reload'
    ),
    answers as (  -- against the model without it, else against the adapter as it was put in
        select max(d.logits_max_abs) as moved, max(d.logits_scale) as scale, bool_or(d.without) as without
        from
            (
                select
                    d.*, x.capture = before.capture as without, dense_rank() over (order by x.sequence) as nth
                from probe_deltas d, before, first, last, captures x, captures y
                where
                    x.capture in (before.capture, first.capture)
                    and y.capture = last.capture
                    and d.capture_a = coalesce(x.probes_of, x.capture)
                    and d.capture_b = coalesce(y.probes_of, y.capture)
            ) d
        where d.nth = 1
    ),
    precision as (
        select
            case
                when bool_or(dtype in ('BF16', 'F16')) then logit_noise() else logit_noise_float32()
            end as noise
        from parameters, before
        where parameters.capture = before.capture
    ),
    factors as (
        select
            p.module,
            max(p.l2) filter (p.role = 'lora_b') as b_l2,
            max(p.l2) filter (p.role = 'lora_a') as a_l2,
            bool_or(p.role = 'dora_m') as dora
        from parameters p, last
        where p.capture = last.capture and adapter_role(p.role)
        group by p.module
    )
select
    module as subject,
    case when b_l2 > 0 then 'lora_b has norm ' || brief(b_l2) else 'lora_b is zero' end || coalesce(
        ', the logits move by ' || brief(moved) || ' (they reach ' || brief(scale) || ')', ''
    ) as observed,
    'no change of the output' as expected,
    case
        when dora and b_l2 = 0
        then coalesce(moved > noise * scale, false)
        else b_l2 > 0 and coalesce(moved > noise * scale or not without, true)
    end as fault,
    convert_place(b) as place
from factors, answers, precision, filled
where filled.n = 0
order by fault desc, subject
