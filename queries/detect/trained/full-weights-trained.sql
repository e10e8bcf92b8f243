-- Every weight was trained, and nothing says whether that was meant.
--
-- severity:   info
-- role:       cause
-- confidence: certain
-- claim:      {observed} were trained, and nothing in the program says whether that was meant.
-- clean:      full training ({observed})
-- needs:      run, trainable
-- reads:      meant
-- nothing:    an update
-- setting:    fine_tune_type
-- fix:        say what is meant: forensics capture --expect full, or --expect lora
-- fires on:   zoo/healthy-scratch
with
    p as (
        select
            count(*) as n,
            count(*) filter (trainable) as trained,
            count(*) filter (adapter_role(role)) as adapter
        from placements
        where capture = at_point(b, 'start') and role <> 'optimizer'
    )
select
    'parameters' as subject,
    p.trained || ' of ' || p.n || ' tensors' as observed,
    'a word of what was meant' as expected,
    p.trained = p.n and p.adapter = 0 and m.kind is null as fault
from p, meant m
where p.n > 0
order by subject
