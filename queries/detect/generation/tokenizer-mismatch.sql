-- Training and generation use tokenizers that cut text differently.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   template-mismatch, generation-collapse, score-dropped, output-unchanged
-- claim:      The tokenizer of {subject} has {observed}; that of training has {expected}.
-- clean:      the tokenizer (the same {observed} in {looked:capture|captures})
-- rules out:  template-mismatch, double-bos
-- long:       tokenizers of captures and those that a generation was handed are told in the same words
-- needs:
-- nothing:    the tokenizers of two captures
-- capture:    Give the directory of the model with its tokenizer.
-- fix:        load the tokenizer from the directory that the training run saved or read, without added
-- tokens
-- fires on:   zoo/words-added, zoo/words-special
-- silent on:  zoo/healthy-roundtrip, zoo/healthy-checkpoints
with
    k as materialized(select run_of(b) as run, began(a, b) as first),
    facts as (
        select
            c.capture,
            any_value(c.model) as model,
            any_value(c.sequence) as sequence,
            any_value(c.place) as place,
            max(try_cast(f.value as bigint)) filter (f.key = 'vocab_size') as tokens,
            max(trim(f.value, '"')) filter (f.key = 'vocabulary_digest') as vocabulary,
            count(*) filter (f.key like 'added_tokens.%') as added,
            string_agg(f.key || '=' || f.value, ',' order by f.key) filter (
                f.key like 'added_tokens.%'
            ) as which
        from captures c
        join configs f on f.capture = c.capture
        where
            f.kind = 'tokenizer'
            and (f.key in ('vocab_size', 'vocabulary_digest') or f.key like 'added_tokens.%')
            and (f.key not in ('vocab_size', 'vocabulary_digest') or f.value <> 'null')
        group by c.capture
    ),
    reference as (select f.* from facts f join k on f.capture = k.first),
    used as (
        select distinct capture
        from generations
        join k using (run)
        union
        select c.capture
        from captures c
        join k on c.run = k.run
        where c.point in ('reloaded', 'saved', 'end')
        union
        select capture_of(b)
    )
select
    f.capture as subject,
    f.tokens
    || ' tokens, '
    || f.added
    || ' of them added'
    || case
        when f.tokens = r.tokens and f.added = r.added and differ(f.which, r.which)
        then ' (others)'
        when f.tokens = r.tokens and f.vocabulary <> r.vocabulary
        then ', and another id for some of them'
        else ''
    end as observed,
    r.tokens || ' tokens, ' || r.added || ' of them added' as expected,
    f.tokens is distinct from r.tokens
    or differ(f.which, r.which)
    or coalesce(f.vocabulary <> r.vocabulary, false) as fault,
    f.place
from facts f
join used using (capture), reference r
where f.capture <> r.capture
union all
select
    'generation ' || g.generation,
    (g.settings ->> 'vocabulary')
    || ' tokens'
    || case
        when
            (g.settings ->> 'vocabulary')::bigint = r.tokens
            and (g.settings ->> 'vocabulary_digest') <> r.vocabulary
        then ', and another id for some of them'
        else ''
    end,
    r.tokens || ' tokens',
    (g.settings ->> 'vocabulary')::bigint <> r.tokens
    or coalesce((g.settings ->> 'vocabulary_digest') <> r.vocabulary, false),
    g.place
from generations g
join k on g.run = k.run, reference r
where g.settings ->> 'vocabulary' is not null
order by fault desc, subject
