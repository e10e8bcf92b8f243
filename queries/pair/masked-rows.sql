-- Training rows of one turn, each with where weights begin and end in it. `opens` is the first position
-- that teaches the answer, `shuts` the
-- last that teaches a token of the row, `closed` the one that teaches the end; `leaks` and `hidden` count
-- positions of the prompt with and
-- without weight, `answers` and `untold` those of the answer. Where the weight cannot be read, the gradient
-- there says whether there is one.
--
-- params: b
-- reads:  taught
select
    process,
    step,
    forward,
    line,
    any_value(row_digest) as row_digest,
    bool_or(first_pad is not null) as padded,
    min(position) filter (coalesce(weight, mass) <> 0) as first_,
    max(position) filter (coalesce(weight, mass) <> 0) as last_,
    min(position) filter (role = 'answer' or closes) as opens,
    max(position) filter (role in ('prompt', 'answer', 'end')) as shuts,
    max(position) filter (closes) as closed,
    count(*) filter (
        coalesce(weight, mass) <> 0 and (role = 'prompt' or (role = 'end' and not closes))
    ) as leaks,
    count(*) filter (
        coalesce(weight, mass) = 0 and (role = 'prompt' or (role = 'end' and not closes))
    ) as hidden,
    count(*) filter (coalesce(weight, mass) <> 0 and (role = 'answer' or closes)) as answers,
    count(*) filter (coalesce(weight, mass) = 0 and (role = 'answer' or closes)) as untold,
    max(position) filter (role = 'prompt') < min(position) filter (role = 'answer' or closes) as single
from taught
group by process, step, forward, line
