-- The ranks of a distributed run train different models.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   loss-not-decreasing, output-unchanged, score-dropped
-- claim:      {observed}, though all ranks train one model.
-- clean:      the ranks ({observed})
-- needs:      end
-- nothing:    a program of several ranks that began with one model
-- fix:        {fix_}
-- harmless:   ranks that are meant to go on alone for some updates and are averaged later; the runs of a search that share nothing but their launcher
-- fires on:   zoo/ranks-apart, zoo/ranks-seeded
-- silent on:  zoo/healthy-ranks
WITH processes AS (
    SELECT process, any_value(rank) AS rank, any_value(ranks) AS ranks FROM models WHERE run = run_of(b) AND rank IS NOT NULL GROUP BY process
), launched AS (
    -- a command may launch again: the n-th process of a rank belongs to the n-th launch
    SELECT *, row_number() OVER (PARTITION BY rank ORDER BY process) AS launch FROM processes
), trained AS (
    SELECT m.model, l.rank, l.ranks, l.launch, row_number() OVER (PARTITION BY m.process ORDER BY TRY_CAST(substr(m.model, 2) AS INTEGER)) AS nth
    FROM models m JOIN launched l USING (process) WHERE m.run = run_of(b) AND m.updates > 0
), ends AS (
    SELECT t.model, t.rank, t.ranks, t.launch, t.nth, arg_max(c.capture, c.sequence) FILTER (c.point = 'start') AS began,
        arg_max(c.capture, c.sequence) FILTER (c.point = 'end') AS ended, arg_max(c.updates, c.sequence) FILTER (c.point = 'end') AS updates
    FROM trained t JOIN captures c ON c.run = run_of(b) AND c.model = t.model AND c.whole IS DISTINCT FROM false GROUP BY ALL
), held AS (
    SELECT e.model, p.canonical, bool_or(p.trainable) AS trainable, any_value(p.digest) FILTER (p.capture = e.began) AS before,
        any_value(p.digest) FILTER (p.capture = e.ended) AS after
    FROM ends e JOIN placements p ON p.capture IN (e.began, e.ended) WHERE p.role IS DISTINCT FROM 'optimizer' GROUP BY ALL
), sides AS (
    SELECT x.rank AS first_rank, y.rank, x.updates, g.trainable, h.before = g.before AS equal_before, h.after = g.after AS equal_after
    FROM ends x JOIN ends y ON x.model = model_of(b) AND y.rank <> x.rank AND y.launch = x.launch AND y.nth = x.nth
        AND y.ranks = x.ranks AND y.updates = x.updates
    JOIN held h ON h.model = x.model JOIN held g ON g.model = y.model AND g.canonical = h.canonical AND g.trainable = h.trainable
), counted AS (
    SELECT first_rank, rank, updates, count(*) FILTER (trainable) AS trained, count(*) FILTER (NOT trainable) AS frozen,
        count(*) FILTER (NOT trainable AND NOT equal_before) AS split, count(*) FILTER (trainable AND NOT equal_before) AS apart,
        count(*) FILTER (trainable AND equal_before AND NOT equal_after) AS parted
    FROM sides GROUP BY ALL
), judged AS (
    -- of a model that is split over its ranks each holds other weights from the start: frozen ones too, or, where nothing is frozen, trained ones
    SELECT *, apart > 0 AS seeded FROM counted WHERE trained > 0 AND split = 0 AND (frozen > 0 OR apart = 0)
)
SELECT 'rank ' || rank AS subject,
    CASE WHEN seeded THEN printf('rank %d began with other weights than rank %d (%d of %d trained tensors)', rank, first_rank, apart, trained)
         WHEN parted > 0 THEN printf('%d of %d trained tensors of rank %d differ from those of rank %d after %d updates', parted, trained, rank, first_rank, updates)
         ELSE printf('rank %d holds the weights of rank %d after %d updates', rank, first_rank, updates) END AS observed,
    'the same weights on every rank' AS expected, seeded OR parted > 0 AS fault,
    (SELECT any_value(e.place) FROM events e WHERE e.run = run_of(b) AND e.kind = 'update' AND e.model = model_of(b)) AS place,
    CASE WHEN seeded THEN 'give every rank the same seed before adapters are made, or hand the first rank''s weights to the others'
         ELSE 'average the gradients over the ranks before every update: grads = nn.average_gradients(grads)' END AS fix_
FROM judged ORDER BY fault DESC, rank
