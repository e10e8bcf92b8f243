-- The base weights under the adapter are no longer the base's.
--
-- severity:   error
-- role:       consequence
-- confidence: certain
-- explains:   wrong-base, reload-mismatch
-- claim:      {observed} of the base are not as they were; {why}.
-- clean:      the base weights ({observed})
-- needs:      parameters
-- reads:      made, meant, moves, meant_free, recast
-- nothing:    an adapter, there or meant; a run that was meant to train nothing (--expect none)
-- fix:        load the base again from where it came, and {fix_}
-- fires on:   zoo/unfrozen-loop, zoo/missing-classes
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
with
    m as materialized(select * from meant),
    t as (
        select
            count(*) as n,
            count(*) filter (changed) as moved,
            count(*) filter (adapter) as adapters,
            count(distinct layer) filter (changed) as layers
        from moves moves
        anti join
            made made on made.model is not distinct from moves.model and made.canonical = moves.canonical, m
        where
            not adapter_role(role)
            and not exists (
                from recast r where r.model is not distinct from moves.model and r.canonical = moves.canonical
            )
            and not exists (
                from meant_free f
                where f.model is not distinct from moves.model and f.canonical = moves.canonical
            )
            and (
                adapter
                or (
                    m.kind in ('lora', 'dora')
                    and tries(b)
                    and not exists (from moves o where o.adapter and adapter_role(o.role))
                )
                or (m.kind = 'none' and trains(b))
            )  -- where another model of the run has the adapter, it was meant for that one
    )
select
    'base weights' as subject,
    t.moved
    || ' of '
    || t.n
    || ' tensors'
    || case
        when t.layers > 0 then ' in ' || t.layers || if(t.layers = 1, ' block', ' blocks') else ''
    end as observed,
    '0 of ' || t.n || ' tensors' as expected,
    t.moved > 0 as fault,
    case when t.adapters > 0 or m.said or m.kind = 'none' then 'error' else 'warning' end as severity,
    case
        when m.kind = 'none' then 'nothing was meant to be trained' else 'an adapter leaves them alone'
    end as why,
    case
        when m.kind = 'none'
        then 'leave the training out, or say what is meant: --expect lora, dora or full'
        else 'train the adapter alone'
    end as fix_
from t, m
where t.n > 0
order by subject
