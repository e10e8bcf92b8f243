-- Updates that nothing computed before they were needed.
--
-- severity:   info
-- role:       cause
-- confidence: certain
-- claim:      Nothing computed an update of {subject}: {observed}.
-- clean:      the updates that were pending ({observed})
-- needs:      steps
-- nothing:    two updates whose state was looked at
-- params:     a, b, grown = 15
-- numbers:    grown - updates whose graph is pending at once: what it holds grows with every step, and a
-- program that computes after a few is none
-- fix:        call mx.eval(model.parameters(), optimizer.state) after each update
-- harmless:   a program that reads each loss computes the update before it
-- fires on:   zoo/never-evaluated
-- silent on:  zoo/healthy-read-losses
with
    looks as (
        select
            model,
            max(step) as step,
            max(pending) as pending,
            arg_max(pending, step) as last,
            bool_and(pending = step - 1) as never
        from steps
        where run = run_of(b) and pending is not null and step > 1
        group by model
    ),
    answers as (
        select
            model, max((pending ->> 'difference')::double) as off, max((pending ->> 'scale')::double) as scale
        from captures
        where run = run_of(b) and point like 'end%'
        group by model
    )
select
    l.model as subject,
    case
        when l.never
        then counted(l.last, 'update') || ' lay before update ' || l.step || ', and all were pending'
        when l.pending = 0
        then 'each was computed before the next'
        else 'at most ' || counted(l.pending, 'update') || ' pending at once'
    end || case
        when x.off = 0
        then '; computing what was pending at the end changed no logit after a probe'
        when x.off > 0
        then
            printf(
                '; computing what was pending at the end moved logits after a probe by %.2g of %.2g',
                x.off,
                x.scale
            )
        else ''
    end as observed,
    'updates that are computed' as expected,
    l.never as fault,
    case when l.last >= grown then 'warning' else 'info' end as severity,
    (
        select max_by(place, sequence)
        from events
        where run = run_of(b) and model = l.model and kind = 'update'
    ) as place
from looks l
left join answers x on x.model = l.model
order by fault desc, subject
