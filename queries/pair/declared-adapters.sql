-- Adapters that the program declared in so many words. `layers` is how many of the model's `blocks` the
-- declaration means, counted as mlx-lm does: 0 and below are all of them, and none are more than there are.
--
-- params: b
-- reads:  declared
with
    depth as (
        select count(distinct layer) as n from modules where capture = capture_of(b) and layer is not null
    )
select
    declared.*,
    depth.n as blocks,
    case
        when num_layers is null or num_layers <= 0 or num_layers >= depth.n then depth.n else num_layers
    end as layers
from declared, depth
where strength = 'strong' and kind in ('lora', 'dora') and via <> 'expect'
