-- Gradients are gathered in another way than declared.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   schedule-in-wrong-unit
-- claim:      {observed}; {expected}.
-- clean:      the gathering of gradients ({observed})
-- needs:      steps, every_step
-- nothing:    an update
-- fix:        {fix_}
-- fires on:   zoo/sum-accumulate, zoo/count-accumulate, zoo/each-mixed
-- silent on:  zoo/healthy-accumulated, zoo/healthy-mixed, zoo/healthy-accumulated-command
with
    s as materialized(
        select
            model,
            count(*) as updates,
            sum(gradients) as gradients,
            mode(gradients) as usual,
            min_by(gradients, step) as first,
            median(accumulation) as ratio,
            count(*) filter (gradients = 1) as ones,
            max(gradients) as most,
            (list(gradient_norm order by step) filter (accumulation is not null))[:8] as norms,
            (list(accumulation order by step) filter (accumulation is not null))[:8] as parts
        from steps
        where run = run_of(b) and gradients is not null
        group by model
    ),
    grown as (
        -- what was gathered before stays: the norm only grows, and more is applied than the batches of one
        -- update gave
        select
            model,
            coalesce(
                len(norms) = 8
                and isfinite(norms[8])
                and list_sort(norms) = norms
                and norms[8] >= 2 * norms[1]
                and list_aggregate(parts[2:], 'median') > 1.2 * parts[1],
                false
            ) as kept
        from s
    ),
    declared_ as (
        select coalesce(list(distinct k) filter (said), list(distinct k)) as ks
        from
            (  -- what a trainer was told counts where the program says nothing
                select try_cast(value as integer) as k, true as said
                from configs
                where
                    capture = run_of(b) and kind = 'program' and ends_with(key, 'gradient_accumulation_steps')
                union all
                select (detail -> 'declared' ->> 'grad_accumulation_steps')::integer, false
                from events
                where run = run_of(b) and kind = 'train'
            )
        where k is not null
    ),
    whole as (  -- a mean over the tokens of one batch: its weights sum to 1, and are not yet divided
        select model, max(w) as w
        from
            (
                select model, step, forward, sum(weight) as w
                from loss_tokens
                where run = run_of(b)
                group by all
            )
        group by model
    ),
    place_ as (select any_value(place) as place from events where run = run_of(b) and kind = 'update')
select
    'updates of ' || s.model as subject,
    s.updates || ' updates from ' || s.gradients || ' gradients' as observed,
    case
        when len(d.ks) > 0
        then 'one update for every ' || array_to_string(d.ks, ' or ') || ' gradients is declared'
        else 'the first came after ' || s.first
    end as expected,
    s.updates >= 3
    and (
        (len(d.ks) > 0 and not list_contains(d.ks, s.usual) and list_max(d.ks) > 1)
        or (
            s.first > case when len(d.ks) > 0 then 1 else 2 end
            and s.usual = 1
            and s.ones = s.updates - 1
            and s.updates >= 4
        )
    ) as fault,
    place_.place,
    'update when (step + 1) % gradient_accumulation_steps == 0, and set the gathered gradients and '
    || 'their counter back after it' as fix_,
    'certain' as confidence
from s, declared_ d, place_
union all
select
    'gradients of ' || s.model,
    case
        when grown.kept
        then
            printf(
                'what is gathered grew with each of the first 8 updates, from a norm of %s to %s',
                brief(s.norms[1]),
                brief(s.norms[8])
            )
        else
            'what '
            || s.usual
            || ' batches gave was '
            || case when s.ratio > 0.75 then 'added up' else 'averaged' end
    end,
    case
        when grown.kept
        then 'each update is to hold the mean of its own ' || s.usual || ' batches'
        else 'a mean over ' || s.usual || ' batches'
    end,
    s.usual > 1 and (grown.kept or (s.ratio > 0.75 and whole.w between 0.9 and 1.1)),
    place_.place,
    case
        when grown.kept
        then 'set the gathered gradients back after optimizer.update, not their counter alone'
        else 'divide by the number of batches before optimizer.update: tree_map(lambda g: g / n, gathered)'
    end,
    case when grown.kept then 'strong' else 'certain' end
from s
join grown using (model)
join whole using (model), place_
where s.usual > 1 and s.ratio is not null
order by fault desc, subject
