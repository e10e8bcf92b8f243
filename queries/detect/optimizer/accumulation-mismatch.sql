-- Gradients are gathered in another way than declared.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   schedule-in-wrong-unit
-- claim:      {observed}; {expected}.
-- clean:      the gathering of gradients ({observed})
-- needs:      steps, every_step
-- long:       two questions of one table, how often and how gradients are gathered, each with its
-- sentences
-- reads:      gathered
-- nothing:    an update
-- params:     a, b, least = 3, summed = 0.75, off = 0.1
-- numbers:    least - updates from which a habit shows; summed - what was applied over the sum of its
-- gradients, 1 where they are added up, 1/2 or less where they are averaged; off - how far the weights of one
-- batch may sum from 1, which is a mean over its tokens
-- setting:    grad_accumulation_steps
-- fix:        {fix_}
-- harmless:   several losses, each with a gradient function of its own, whose gradients are added
-- fires on:   zoo/sum-accumulate, zoo/count-accumulate, zoo/each-mixed
-- silent on:  zoo/healthy-accumulated, zoo/healthy-mixed, zoo/healthy-accumulated-command
with
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
    place_ as (select any_value(place) as place from events where run = run_of(b) and kind = 'update')
select
    'updates of ' || s.model as subject,
    s.updates || ' updates from ' || s.gradients || ' gradients' as observed,
    'one update for every ' || array_to_string(d.ks, ' or ') || ' gradients is declared' as expected,
    s.updates >= least
    and (
        (not list_contains(d.ks, s.usual) and list_max(d.ks) > 1)
        or (s.first > 1 and s.usual = 1 and s.ones = s.updates - 1 and s.updates > least)
    ) as fault,
    place_.place,
    'update when (step + 1) % gradient_accumulation_steps == 0, and set the gathered gradients '
    || 'and their counter back after it' as fix_,
    'certain' as confidence
from gathered s, declared_ d, place_
where len(d.ks) > 0  -- a program that declares nothing may look at gradients that it drops
union all
select
    'gradients of ' || s.model,
    case
        when s.lone
        then
            printf(
                'Of the gradients of %d batches for each update the last alone was applied, %.3g times',
                s.usual,
                s.share
            )
        when s.kept
        then
            printf(
                'The gradients of %d of %d updates held those of all updates before, with a norm of %s at first '
                || 'and %s at last',
                s.holding,
                s.updates,
                brief(s.norm_first),
                brief(s.norm_last)
            )
        else
            'The gradients of ' || s.usual || ' batches were ' || if(s.ratio > summed, 'added up', 'averaged')
    end,
    case
        when s.kept or s.lone
        then 'each update is to hold the mean of its own ' || s.usual || ' batches'
        else 'an update is to take their mean'
    end,
    s.kept
    -- divided by the number of batches, or declared: else a program may look at gradients that it drops
    or (
        s.lone
        and s.usual > 1
        and (
            abs(s.share * s.usual - 1) <= off or exists (from declared_ d where list_contains(d.ks, s.usual))
        )
    )
    or (
        s.usual > 1
        and s.ratio > summed
        and s.whole between 1 - off and 1 + off
        and s.functions is distinct from s.usual
    ),
    place_.place,
    case
        when s.lone
        then 'add each gradient to those gathered: tree_map(lambda a, b: a + b, gathered, gradients)'
        when s.kept
        then 'set the gathered gradients back after optimizer.update, not their counter alone'
        else 'divide by the number of batches before optimizer.update: tree_map(lambda g: g / n, gathered)'
    end,
    'certain'
from gathered s, place_
where s.kept or (s.whole is not null and s.usual > 1 and s.ratio is not null)
order by fault desc, subject
