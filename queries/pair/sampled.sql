-- Processes that train on answers that they drew themselves, to reward some and punish others: more than two
-- rows of prompts of one length in a forward, with weights of both signs.
--
-- params: b
-- reads:  taught
select distinct process
from taught
where weight <> 0
group by process, step, forward
having count(distinct line) > 2 and min(weight) < 0 and max(weight) > 0 and count(distinct prompt_tokens) = 1
