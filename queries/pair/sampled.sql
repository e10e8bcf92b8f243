-- Processes that train on answers that they drew themselves, to reward some and punish others: in a forward
-- more than two rows of prompts of one length, with weights of both signs.
--
-- params: b, several = 3
-- numbers: several - answers to one prompt, which are compared with each other, where a preference has two
-- reads:  taught
with
    forwards_ as (
        select
            process,
            count(distinct line) as lines,
            count(distinct prompt_tokens) as lengths,
            min(weight) < 0 and max(weight) > 0 as both_signs
        from taught
        where weight <> 0
        group by process, step, forward
    )
select distinct process
from forwards_
where lines >= several and both_signs and lengths = 1
