-- How the targets stand to the rows, as shares of the weighted positions outside padding, and how many
-- there are. `aligned`: most targets are the next token, as they should.
--
-- params: b
-- reads:  taught
select
    count(*) as n,
    count(*) filter (relation = 'next') / count(*) as next_,
    mostly(count(*) filter (relation = 'next'), count(*)) as aligned,
    count(*) filter (relation = 'same') / count(*) as same_,
    count(*) filter (relation = 'next-but-one') / count(*) as second_,
    count(*) filter (relation = 'other') / count(*) as other_
from taught
where weight <> 0 and relation is not null and role in ('prompt', 'answer', 'end')
having count(*) > 0
