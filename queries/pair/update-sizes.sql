-- How large the update of each trained layer is, over its weight: of an adapter the norm of its product over
-- that of the weight that it stands on, of other weights that of their difference. `known`: the weight was
-- loaded; one that the program made itself is as small as it was begun, and has no size to keep.
--
-- params: a, b, deviations = 5, usual_bits = 4, usual_width = 64
-- numbers: deviations - that the codes of a group of normal weights span, from its least to its greatest;
-- usual_bits, usual_width - what mlx quantizes to where nothing else is said
-- long:   one size of two kinds of layer, adapted and plain, each with what it stands on
-- reads:  adapted_at_end, moves, spans
with
    w as (
        -- norms of the layers that adapters stand on; of a quantized one about what its scales and
        -- number of codes give
        select
            e.model,
            p.module,
            max(p.l2) filter (p.leaf = 'weight') as plain,
            max(p.l2) filter (p.role = 'scales') as scales,
            max(regexp_replace(p.canonical, '\.[^.]*$', '')) as canonical,
            any_value((x.attributes ->> 'bits')::integer) as bits,
            any_value((x.attributes ->> 'group_size')::integer) as width
        from parameters p
        join spans e on p.capture = e.y
        left join modules x on x.capture = p.capture and x.module = p.module
        where not adapter_role(p.role)
        group by e.model, p.module
    ),
    f as (
        select
            e.model,
            p.module,
            max(p.l2) filter (p.role = 'lora_a') as a_,
            max(p.l2) filter (p.role = 'lora_b') as b_
        from parameters p
        join spans e on p.capture = e.y
        where p.role in ('lora_a', 'lora_b')
        group by e.model, p.module
    ),
    adapters_ as (
        -- a product of factors that know nothing of each other has their norms over the root of the
        -- rank
        select
            f.model,
            x.canonical as name,
            x.scale
            * f.a_
            * f.b_
            / sqrt(x.rank)
            / nullif(
                case
                    when w.scales is null
                    then w.plain
                    else
                        ((1 << coalesce(w.bits, usual_bits)) - 1)
                        / deviations
                        * w.scales
                        * sqrt(coalesce(w.width, usual_width))
                end,
                0
            ) as size
        from f
        join adapted_at_end x on x.module = f.module and x.model is not distinct from f.model
        join w on w.canonical = x.canonical and w.model is not distinct from f.model
        where x.scale is not null
    ),
    loaded_ as (
        select distinct p.digest
        from placements p
        join captures c on c.capture = p.capture
        join events e on e.run = c.run and e.model = c.model
        where
            c.run = run_of(b)
            and c.source = 'live'
            and c.updates = 0
            and e.kind = 'load'
            and e.detail ->> 'what' = 'model'
    ),
    plain_ as (
        select m.model, m.name, d.relative as size, m.digest_a in (select digest from loaded_) as known
        from moves m
        join deltas d on d.digest_a = m.digest_a and d.digest_b = m.digest_b
        where
            m.changed
            and not adapter_role(m.role)
            and m.role in ('base', 'embedding', 'head')
            and d.relative is not null
    )
select model, name, size, true as known
from adapters_
where size is not null
union all
from plain_
