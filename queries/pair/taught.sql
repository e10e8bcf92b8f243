-- Positions of the kept steps with what their row is. `beyond`: padding after the first pad of the row
-- (mlx-lm's own loss trains that
-- first one), or before the row, with the pad as its target: where a mask token stands for a text, the
-- text is. `closes`: the end of an answer, not that of a prompt. Rows that are no cross-entropy carry
-- NULL as weight.
--
-- params: b
with k as materialized(select run_of(b) as run, model_of(b) as model)
select
    t.process,
    t.step,
    t.forward,
    t."row" as line,
    t.position,
    t.role,
    t.relation,
    t.mass,
    coalesce(isinf(t.residual), false) as unreadable,
    case when is_cross_entropy(t.residual) and isfinite(t.weight) then t.weight end as weight,
    r.width,
    r.first_pad,
    r.at_cap,
    r.ends_with_end,
    r.framed,
    r.row_digest,
    r.prompt_tokens,
    t.role = 'pad'
    and coalesce(t.position + 1 > r.first_pad, true)
    and t.relation is distinct from 'other' as beyond,
    t.role = 'end'
    and lag(t.role, 1, t.role) over (partition by t.process, t.step, t.forward, t."row" order by t.position)
    <> 'prompt' as closes
from loss_tokens t
join k on t.run = k.run and t.model = k.model
left join
    batch_rows r
    on r.run = t.run
    and r.process = t.process
    and r.model = t.model
    and r.step = t.step
    and r.forward = t.forward
    and r."row" = t."row"
