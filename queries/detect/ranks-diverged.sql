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
WITH ends AS (
    SELECT m.model, m.rank, m.ranks, arg_max(c.capture, c.sequence) FILTER (c.point = 'start') AS began,
        arg_max(c.capture, c.sequence) FILTER (c.point = 'end') AS ended, arg_max(c.updates, c.sequence) FILTER (c.point = 'end') AS updates
    FROM models m JOIN captures c ON c.run = m.run AND c.model = m.model
    WHERE m.run = run_of(b) AND m.rank IS NOT NULL AND c.whole IS DISTINCT FROM false GROUP BY ALL
), held AS (
    SELECT e.model, p.canonical, bool_or(p.trainable) AS trainable, any_value(p.digest) FILTER (p.capture = e.began) AS before,
        any_value(p.digest) FILTER (p.capture = e.ended) AS after
    FROM ends e JOIN placements p ON p.capture IN (e.began, e.ended) WHERE p.role IS DISTINCT FROM 'optimizer' GROUP BY ALL
), counted AS (
    SELECT y.rank, any_value(x.rank) AS first_rank, any_value(x.updates) AS updates, any_value(x.ranks) AS ranks,
        count(*) FILTER (h.trainable) AS trained, count(*) FILTER (NOT h.trainable AND h.before = g.before) AS shared,
        count(*) FILTER (NOT h.trainable AND h.before <> g.before) AS split,
        count(*) FILTER (h.trainable AND h.before = g.before) AS equal_before,
        count(*) FILTER (h.trainable AND h.before = g.before AND h.after <> g.after) AS parted,
        count(*) FILTER (h.trainable AND h.before <> g.before) AS apart_before
    FROM ends x JOIN ends y ON x.model = model_of(b) AND y.model <> x.model AND y.ranks = x.ranks AND y.updates = x.updates
    JOIN held h ON h.model = x.model JOIN held g ON g.model = y.model AND g.canonical = h.canonical AND g.trainable = h.trainable
    GROUP BY y.rank
), judged AS (
    -- a model that is split over the ranks has parts that differ from the start, frozen ones too
    SELECT *, shared > 0 AND split = 0 AND apart_before > 0 AS seeded FROM counted WHERE equal_before > 0 OR (shared > 0 AND split = 0 AND trained > 0)
)
SELECT 'rank ' || rank AS subject,
    CASE WHEN seeded THEN printf('rank %d began with other weights than rank %d (%d of %d trained tensors)', rank, first_rank, apart_before, trained)
         WHEN parted > 0 THEN printf('%d of %d trained tensors of rank %d differ from those of rank %d after %d updates', parted, trained, rank, first_rank, updates)
         ELSE printf('rank %d holds the weights of rank %d after %d updates', rank, first_rank, updates) END AS observed,
    'the same weights on every rank' AS expected, seeded OR parted > 0 AS fault,
    (SELECT any_value(e.place) FROM events e WHERE e.run = run_of(b) AND e.kind = 'update' AND e.model = model_of(b)) AS place,
    CASE WHEN seeded THEN 'give every rank the same seed before adapters are made, or hand the first rank''s weights to the others'
         ELSE 'average the gradients over the ranks before every update: grads = nn.average_gradients(grads)' END AS fix_
FROM judged ORDER BY fault DESC, rank
