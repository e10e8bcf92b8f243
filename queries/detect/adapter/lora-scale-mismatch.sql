-- The adapter's scale in force is not the declared one.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, update-too-large, fused-twice, fuse-lost-update
-- claim:      The adapter works with scale {observed}; {expected}.
-- clean:      the adapter's scale ({observed}; {expected})
-- needs:      parameters
-- reads:      adapted_at_end, scales_compared
-- nothing:    an adapter whose scale is declared or seen again after a reload
-- capture:    Let the program save its adapter or model, and capture without --no-reload.
-- setting:    scale, alpha
-- fix:        {fix_}
-- fires on:   zoo/scale-classes, zoo/scale-loop, zoo/scale-mixed
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mlp-last-layer
with
    again as (  -- the same layer in training and after the reload
        select x.canonical as subject, x.scale as observed, y.scale as expected
        from adapted_at_end x
        join captures c on c.run = run_of(b) and c.model = x.model and c.point = 'reloaded'
        join modules y on y.capture = c.capture and y.canonical = x.canonical and y.rank is not null
        where
            x.scale is not null
            and y.scale is not null
            and watched(b)
            and c.sequence = (
                select max(z.sequence)
                from captures z
                where z.run = c.run and z.model = c.model and z.point = 'reloaded'
            )
    )
select
    subject,
    brief(observed) as observed,
    case
        when unrooted
        then
            brief(expected)
            || ' is declared: alpha '
            || brief(alpha)
            || ' over the root of rank '
            || rank
            || ' (use_rslora)'
        when by_alpha
        then brief(expected) || ' is declared: alpha ' || brief(alpha) || ' / rank ' || rank
        else brief(expected) || ' is declared'
    end
    || ', by '
    || said_by(via) as expected,
    fault,
    coalesce(place, convert_place(b)) as place,
    case
        when unrooted
        then 'where use_rslora is true the scale is lora_alpha / sqrt(r): write that into adapter_config.json'
        when by_alpha
        then 'pass scale = alpha / rank: mlx-lm multiplies by scale itself and knows no alpha'
        when via = 'saved-config'
        then 'write the scale in force into adapter_config.json: {"lora_parameters": {"scale": ...}}'
        else 'pass the declared scale to the conversion; LoRALinear.from_base takes 20 where none is given'
    end as fix_
from scales_compared
union all
select
    min(subject),
    brief(observed),
    'after the reload it is ' || brief(expected),
    not close_to(observed, expected),
    convert_place(b),
    'write the scale in force into adapter_config.json: {"lora_parameters": {"scale": ...}}'
from again
group by observed, expected
order by fault desc, subject, expected
