-- Training rows, each with where weights begin and end in it. `opens` is the first position that teaches the
-- answer, in a row of several turns the last answer, `shuts` the last that teaches a token of the row,
-- `closed` the one that teaches the end; `leaks` and `hidden` count positions of the prompt with and
-- without weight, `leaked_ends` and `hidden_ends` the ends of turns among them,
-- `answers` and `untold` those of the answer. `to_edge`: the last position carries weight. `single`: a row of
-- one turn, `last_alone`: nothing before its
-- last answer is taught, but for one token. Where the weight cannot be read, the gradient there says whether
-- there is one.
--
-- params: b
-- reads:  taught
with
    asked as (
        select
            *,
            coalesce(
                max(position) filter (role = 'prompt') over (partition by process, step, forward, line), -1
            ) as asks
        from taught
    )
select
    process,
    step,
    forward,
    line,
    any_value(row_digest) as row_digest,
    bool_or(first_pad is not null) as padded,
    max(position) filter (coalesce(weight, mass) <> 0) = max(position) as to_edge,
    min(position) filter (coalesce(weight, mass) <> 0) as first_,
    max(position) filter (coalesce(weight, mass) <> 0) as last_,
    min(position) filter ((role = 'answer' or closes) and position > asks) as opens,
    max(position) filter (role in ('prompt', 'answer', 'end')) as shuts,
    max(position) filter (closes) as closed,
    count(*) filter (
        coalesce(weight, mass) <> 0 and (role = 'prompt' or (role = 'end' and not closes))
    ) as leaks,
    count(*) filter (
        coalesce(weight, mass) = 0 and (role = 'prompt' or (role = 'end' and not closes))
    ) as hidden,
    count(*) filter (coalesce(weight, mass) = 0 and role = 'end' and not closes) as hidden_ends,
    count(*) filter (coalesce(weight, mass) <> 0 and role = 'end' and not closes) as leaked_ends,
    count(*) filter (coalesce(weight, mass) <> 0 and (role = 'answer' or closes)) as answers,
    count(*) filter (coalesce(weight, mass) = 0 and (role = 'answer' or closes)) as untold,
    max(position) filter (role = 'prompt') < min(position) filter (role = 'answer' or closes) as single,
    min(position) filter (coalesce(weight, mass) <> 0) >= max(asks) as last_alone
from asked
group by process, step, forward, line
