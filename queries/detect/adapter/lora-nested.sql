-- An adapter was put on a layer that already had one.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   lora-partial, adapter-not-loaded, adapter-incomplete, reload-mismatch,
-- adapter-partly-frozen, base-not-frozen, optimizer-restarted
-- claim:      {n:layer has|layers have} an adapter around an adapter; first {subject}: {observed}
-- adapters.
-- clean:      nested adapters (one adapter a layer, {looked:layer|layers})
-- needs:      parameters
-- reads:      adapted_at_end
-- nothing:    the model has no adapter
-- fix:        convert once: fuse or remove the first adapter before the second conversion
-- (remove_lora_layers), or train on with the one that is there
-- fires on:   zoo/nested-loop, zoo/nested-stages
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
with
    last as (
        select coalesce(max_by(x.capture, c.sequence), capture_of(b)) as capture
        from captures c
        join modules x on x.capture = c.capture
        where c.run = run_of(b) and x.adapters > 1 and watched(b) and c.point not in ('saved', 'reloaded')
    ),
    doubled as (
        select place
        from events
        where run = run_of(b) and kind = 'convert' and (detail ->> 'nested_after')::integer > 0
        order by sequence
        limit 1
    )
select
    t.canonical as subject,
    max(t.adapters) as observed,
    1 as expected,
    max(t.adapters) > 1 as fault,
    (select place from doubled) as place
from
    (
        select canonical, adapters
        from adapted((select capture from last))
        union all
        select canonical, adapters
        from adapted_at_end
    ) t
group by t.canonical
order by subject
