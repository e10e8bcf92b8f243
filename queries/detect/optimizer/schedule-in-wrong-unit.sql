-- The learning rate's schedule counts something else than updates.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   loss-not-decreasing
-- claim:      {observed}; {expected}.
-- clean:      the schedule's length ({observed})
-- needs:      steps, every_step
-- long:       a schedule that the optimizer asks, one that the program asks, and rates without a schedule:
-- one question, each with its sentences
-- nothing:    a schedule of the learning rate
-- params:     a, b, idle_rate = 1e-3, gathered = 1.5, longer = 1.2, about = 0.1, few = 4
-- numbers:    idle_rate - of the largest rate, less trains nothing; gathered - gradients for one update,
-- between one, as declared without accumulation, and two; longer - than the updates that there
-- are, a warm-up or a last part adds less; about - how closely the schedule's length must be
-- that of the gradients, and a rate that of a step of the schedule; few - updates in which an idle half
-- means something
-- setting:    lr_schedule
-- fix:        {fix_}
-- fires on:   zoo/unit-accumulate, zoo/unit-compiled
-- silent on:  zoo/healthy-accumulated
with
    s as materialized(
        select
            count(*) as updates,
            sum(gradients) as gradients,
            sum(gradients) / count(*) as each,
            max(learning_rate) as peak,
            max_by(learning_rate, step) as last,
            count(*) filter (learning_rate <= idle_rate * peak_) as idle,
            min(step) filter (learning_rate <= idle_rate * peak_ and step > peak_at) as stopped
        from
            (
                select
                    *,
                    max(learning_rate) over () as peak_,
                    min(step) filter (learning_rate > 0) over () as peak_at
                from steps
                where run = run_of(b)
            )
    ),
    d as materialized(
        select
            sum(steps) as total,
            max(steps) as longest,
            arg_max(kind, steps) as kind,
            arg_max(place, steps) as place,
            max(steps) filter (kind <> 'linear_schedule') as decay
        from schedules
        where run = run_of(b) and steps is not null
        having count(*) > 0
    ),
    asked as (  -- the one decay that there is, and of which step of it the last rate is
        select
            *,
            steps
            * if(kind = 'cosine_decay', acos(least(share - (1 - share), 1)) / pi(), 1 - share) as reached
        from
            (
                select
                    one.*,
                    s.updates,
                    s.last < s.peak as falls,
                    greatest((s.last - one.final) / nullif(one.init - one.final, 0), 0) as share
                from
                    s,
                    (
                        select
                            any_value(kind) as kind,
                            any_value(steps) as steps,
                            any_value(place) as place,
                            any_value((arguments ->> 'init')::double) as init,
                            any_value((arguments ->> 'end')::double) as final
                        from schedules
                        where run = run_of(b)
                        having count(*) = 1 and any_value(kind) in ('cosine_decay', 'linear_schedule')
                    ) one
            )
        where share <= 1 and falls
    ),
    slow as (  -- the program asks it seldom, with another count, and so gets through little of it
        select *
        from asked
        where
            round(reached) >= 1
            and abs(reached - round(reached)) < about
            and mostly(updates - 1 - reached, updates - 1)
            and mostly(steps - reached, steps)
            and not mostly(steps - updates, steps)
    )
select
    d.kind as subject,
    case
        when mostly(s.idle, s.updates)
        then
            'The rate had fallen to '
            || brief(coalesce(s.last, 0))
            || ' at update '
            || coalesce(s.stopped, 1)
            || ' of '
            || s.updates
        else d.kind || ' runs over ' || d.total || ' steps'
    end as observed,
    case
        when mostly(s.idle, s.updates)
        then 'its schedule is ' || d.total || ' steps long'
        else 'the run makes ' || counted(s.updates, 'update') || ' from ' || s.gradients || ' batches'
    end as expected,
    (
        s.each >= gathered
        and d.total > longer * s.updates
        and (
            abs(d.total - s.gradients) <= about * s.gradients
            or abs(d.longest - s.gradients) <= about * s.gradients
        )
    )
    or (
        s.peak > 0
        and mostly(s.idle, s.updates)
        and s.updates >= few
        and mostly(s.updates - d.decay, s.updates)
    ) as fault,
    d.place,
    case
        when s.each >= gathered and not mostly(s.idle, s.updates)
        then
            'give the schedule the number of updates: iterations // gradient_accumulation_steps, for '
            || 'optimizers count updates and not batches'
        else 'give the schedule the number of optimizer updates of the whole run, not of epochs or parts'
    end as fix_,
    'error' as severity,
    'strong' as confidence
from s, d
where s.updates > 0
union all
select
    kind,
    'At update ' || updates || ' the rate is that of step ' || round(reached)::bigint || ' of the schedule',
    kind || ' runs over ' || steps || ' steps',
    true,
    place,
    'ask the schedule with the number of updates, as an optimizer does that is given it for its rate: '
    || 'optim.Adam(learning_rate=schedule)',
    'warning',
    'probable'
from slow
union all
select
    'learning rate',
    'The rate had fallen to ' || brief(s.last) || ' at update ' || s.stopped || ' of ' || s.updates,
    'the updates after it train nothing',
    s.idle >= few
    and s.idle = s.updates - s.stopped + 1
    and (s.each >= gathered or mostly(s.idle, s.updates)),
    (select max_by(place, sequence) from events where run = run_of(b) and kind = 'update'),
    'let the rate fall over the number of optimizer updates of the whole run, not of batches or epochs',
    'warning',
    'probable'
from s
where s.peak > 0 and s.stopped is not null and not exists (from d)
order by subject
