-- The head and the embedding were one, and are two.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   reload-mismatch, adapter-not-loaded
-- claim:      {subject}: {observed}, though {expected}.
-- clean:      the tie of head and embedding ({observed})
-- needs:      parameters
-- reads:      spans
-- nothing:    a head that is tied to the embedding
-- fix:        use the embedding itself as the head (embedding.as_linear(x)); two names for one array part
-- at the first update
-- harmless:   a head that was made a matrix of its own on purpose, with a saved configuration that says
-- so
-- fires on:   zoo/untied-scratch, zoo/untied-full
-- silent on:  zoo/healthy-tied
with
    e as materialized(select distinct model, x, y from spans),
    said as (
        select
            bool_or(value = 'true') filter (c.capture in (select unnest([x, y]) from e)) as tied,
            -- what was saved says so
            max_by(value = 'false', coalesce(k.sequence, 0)) filter (k.point in ('end', 'saved')) as untied
        from configs c
        left join captures k on k.capture = c.capture
        where
            c.kind = 'model'
            and ends_with(c.key, 'tie_word_embeddings')
            and (k.run = run_of(b) or c.capture in (select unnest([x, y]) from e))
    ),
    t as (
        select
            e.model,
            p.capture = e.y as last,
            any_value(p.name) filter (p.role = 'head') as head,
            any_value(p.name) filter (p.role = 'embedding') as embedding,
            any_value(p.digest) filter (p.role = 'head' and p.leaf = 'weight') as h,
            list(p.digest) filter (p.role = 'embedding' and p.leaf = 'weight') as es,
            any_value(p.shared_with) filter (p.role = 'head') as shared
        from placements p
        join e on p.capture in (e.x, e.y)
        where p.role in ('head', 'embedding')
        group by e.model, p.capture = e.y
    ),
    j as (
        select
            z.model,
            z.head,
            z.embedding,
            z.h as h,
            z.es as es,
            w.h is not null and list_contains(w.es, w.h) as one_before,
            said.tied,
            coalesce(said.untied, false) as untied
        from t z
        left join t w on w.model is not distinct from z.model and not w.last, said
        where z.last
    )
select
    coalesce(head, embedding) as subject,
    case
        when h is null
        then 'the embedding serves as the head'
        when list_contains(es, h)
        then 'both are equal'
        else 'it differs from ' || embedding
    end as observed,
    case
        when one_before
        then 'both were one array before training'
        else 'the model''s configuration says tie_word_embeddings'
    end as expected,
    h is not null and es is not null and not list_contains(es, h) and not untied as fault,
    (select any_value(place) from events where run = run_of(b) and kind = 'update') as place
from j
where (one_before or coalesce(tied, false)) and es is not null
order by fault desc, subject
