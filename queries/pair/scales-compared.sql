-- The scales of adapters in force, beside each declared one. `unrooted`: declared as alpha over the root of
-- the rank, and in force as alpha over the rank. `fault` as in adapter_compared.
--
-- params: a, b
-- reads:  adapted_at_end, declared_adapters
with
    in_force as materialized(
        select scale, rank, min(canonical) as first
        from adapted_at_end
        where scale is not null and watched(b)  -- at rest it is itself taken from what is declared
        group by scale, rank
    ),
    meant as (
        select distinct via, scale, by_alpha, alpha, rank, place
        from declared_adapters
        where scale is not null
    ),
    compared as (
        select
            meant.via,
            in_force.first as subject,
            in_force.scale as observed,
            meant.scale as expected,
            meant.by_alpha,
            meant.alpha,
            meant.rank,
            meant.place,
            close_to(alpha / sqrt(meant.rank), meant.scale)
            and not close_to(in_force.scale, meant.scale)
            and close_to(alpha / meant.rank, in_force.scale)
            and in_force.rank = meant.rank as unrooted,
            close_to(in_force.scale, meant.scale)
            or (by_alpha and close_to(alpha / sqrt(meant.rank), in_force.scale)) as agrees
        from in_force, meant
    )
select
    *,
    not bool_or(agrees) over (partition by via = 'saved-config', subject) as unmet,
    not agrees and (unmet or coalesce(unrooted, false)) and via <> 'call' as fault
from compared
