-- How much of the trained adapter's update each capture with fused weights holds, over all its layers, by
-- the energy of the update.
-- `realised`: norm of what was added over that of the update. `apart`: norm of added - update over that
-- of the update; 0 is an exact fuse.
-- `rounding`: what the dtype of the fused weights rounds off, over the norm of the update.
--
-- params: b
with
    each as (
        select
            f.capture_fused,
            f.module,
            f.k,
            f.quantized,
            f.intended_l2 as whole,
            f.realised_l2 as added,
            sqrt(greatest(pow(f.realised_l2, 2) + pow(f.intended_l2, 2) * (1 - f.k - f.k), 0)) as apart,
            p.l2 * roundoff(p.dtype) as rounding
        from fusions f
        join captures c on c.capture = f.capture_fused
        left join parameters p on p.capture = f.capture_fused and p.canonical = f.module || '.weight'
        where (c.run = run_of(b) or f.capture_fused = capture_of(b)) and f.intended_l2 > 0 and isfinite(f.k)
    )
select
    capture_fused,
    sum(k * whole * whole) / sum(whole * whole) as k,
    bool_or(quantized) as quantized,
    count(*) as layers,
    sqrt(sum(added * added) / sum(whole * whole)) as realised,
    sqrt(sum(apart * apart) / sum(whole * whole)) as apart,
    sqrt(sum(rounding * rounding) / sum(whole * whole)) as rounding
from each
group by capture_fused
