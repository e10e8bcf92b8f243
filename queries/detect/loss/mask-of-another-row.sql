-- Rows are weighed by the mask of another row.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   padding-in-loss, answers-partly-masked, end-never-trained, mask-off-by-one, prompt-in-loss,
-- score-dropped
-- claim:      Rows are weighed by the mask of another row: {observed}.
-- clean:      whose mask weighs a row ({observed})
-- rules out:  padding-in-loss
-- needs:      loss_tokens
-- reads:      taught
-- nothing:    rows that stand beside others, of a preference loss say
-- params:     a, b, pairs_ = 2
-- numbers:    pairs_ - ends that differ, and rows that end elsewhere: one pair may be chance
-- fix:        multiply the log-probabilities of each row by its own mask, the one that was made of its
-- labels
-- fires on:   zoo/mask-of-chosen
-- silent on:  zoo/healthy-columns, zoo/healthy-columns-wide
with
    rows_ as (
        select
            process,
            step,
            forward,
            line,
            min(position) filter (coalesce(weight, mass) <> 0) as first_,
            max(position) filter (coalesce(weight, mass) <> 0) as last_,
            count(*) filter (coalesce(weight, mass) <> 0) as n,
            max(position) filter (role <> 'pad') as own,
            max(line + 1) over (partition by process, step, forward) as many
        from taught
        group by process, step, forward, line
    ),
    beside as (  -- the same row of another forward, or the one half a batch away
        select
            f.forward,
            g.forward as other,
            sign(f.line - g.line) as side,
            f.own,
            f.last_,
            g.own as end_,
            f.first_ = g.first_ and f.last_ = g.last_ and f.n = g.n and g.last_ = g.own as fits
        from rows_ f
        join rows_ g using (process, step)
        where
            f.n > 0
            and (
                (f.forward <> g.forward and f.line = g.line)
                or (f.forward = g.forward and abs(f.line - g.line) = f.many - abs(f.line - g.line))
            )
    ),
    sums as (
        select
            count(*) as n,
            bool_and(fits) as all_,
            count(distinct end_) as ends_,
            count(*) filter (last_ > own) as beyond,
            count(*) filter (last_ < own) as short
        from beside
        group by forward, other, side
    ),
    judged as (
        select *, all_ and ends_ >= pairs_ and beyond > 0 and beyond + short >= pairs_ as another from sums
    )
select
    'rows beside each other' as subject,
    case
        when another
        then
            printf(
                'the weights of all %d rows begin and end where those of the row beside it do; %d rows end '
                || 'before that, so that their padding is weighed, and %d go on behind it',
                n,
                beyond,
                short
            )
        else printf('%d rows do not take over the weights of the row beside it', n)
    end as observed,
    'weights that end where the row itself ends' as expected,
    coalesce(another, false) as fault,
    loss_place(b) as place
from judged
order by another desc, n desc
limit 1
