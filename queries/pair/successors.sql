-- Models that begin where another that was trained ended: they hold a trainable tensor as it left it, and
-- not as it began.
--
-- params: b
select distinct x.model as former, y.model as model
from placements p
join captures x on x.capture = p.capture and x.run = run_of(b) and x.source = 'live' and x.updates > 0
join placements q on q.digest = p.digest and q.canonical = p.canonical and q.trainable
join
    captures y
    on y.capture = q.capture
    and y.run = x.run
    and y.point = 'start'
    and y.model <> x.model
    and y.sequence > x.sequence
where
    p.trainable
    and not exists (
        select 1
        from placements z
        join captures c on c.capture = z.capture
        where
            c.run = x.run
            and c.model = x.model
            and c.point = 'start'
            and z.canonical = p.canonical
            and z.digest = p.digest
    )
