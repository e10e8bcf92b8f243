-- Is b the base of a with a's adapter fused in: how much of the update is there, how far it lies from an
-- exact
-- replay, and what else moved.
--
-- params:  a, b, share = fuse_off(), rounded = fuse_roundings()
-- reads:   fused_shares
-- example: forensics query fused-replay ./base ./fused --adapter ./adapters
with
    others as (
        select count(*) filter (p.status <> 'identical') as others
        from paired(a, b) p
        where
            p.role not in ('lora_a', 'lora_b', 'dora_m')
            and not exists (
                from fusions f
                where f.capture_fused = capture_of(b) and starts_with(p.canonical, f.module || '.')
            )
    )
select
    s.layers,
    s.k,
    s.apart,
    s.rounding,
    s.quantized,
    o.others,
    o.others = 0 and (s.apart <= share or s.apart <= rounded * coalesce(s.rounding, 0)) as holds
from fused_shares s, others o
where s.capture_fused = capture_of(b)
order by s.capture_fused
