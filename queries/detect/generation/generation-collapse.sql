-- Answers are one special token, or a loop.
--
-- severity:   error
-- role:       symptom
-- confidence: strong
-- claim:      {n} of {looked} answers collapsed: {observed}.
-- clean:      the answers ({looked} of them, no more collapsed than the base's)
-- needs:      probes
-- reads:      asked_after
-- nothing:    answers of the base and of the trained model
-- params:     a, b, share = 0.5, least = 6, long = 12, looped = 0.6
-- numbers:    share - most of the tokens of an answer, and most of the answers; least - tokens of an answer,
-- for the share to mean something; long - tokens of an answer in which a loop shows; looped -
-- share of an answer that repeats what stands before it; fluent text of small models reaches half
-- fix:        look at the causes above; where there are none, lower the learning rate or the number of
-- steps
-- harmless:   a loop in greedy answers, which the base has as well (told as info)
-- fires on:   zoo/unshifted-collator, snapshots/broken-stub
-- silent on:  zoo/story-mended, zoo/healthy-short-answers
with
    k as materialized(select probes_at(a) as base, probes_at(b) as trained, run_of(b) as run),
    each as (
        select
            t.capture,
            t.prompt_id,
            t.source,
            t.output_tokens,
            t.loop_share,
            coalesce(t.special_tokens, 0) / nullif(t.output_tokens, 0) as special,
            t.top_token_share,
            t.top_token_class,
            t.output_tokens >= least
            and coalesce(t.special_tokens, 0) / nullif(t.output_tokens, 0) > share as spam,
            t.output_tokens >= long
            and coalesce(t.loop_share, 0) > looped
            and t.finish_reason is distinct from 'stop' as loop
        from transcripts t
        where t.finish_reason is distinct from 'error'
    ),
    base as (
        select count(*) as n, coalesce(avg(spam::integer), 0) as spam, coalesce(avg(loop::integer), 0) as loop
        from each
        join k on each.capture = k.base
        where source = 'probe'
    ),
    mine as (
        select each.*
        from each
        join k on each.capture = k.trained
        where each.source = 'probe'
        union all
        select each.*
        from asked_after g
        join each on each.source = 'observed' and each.prompt_id = 'g' || g.generation
        join captures c on c.capture = each.capture
        join k on c.run = k.run
    ),
    sums as (select avg(spam::integer) as spam, avg(loop::integer) as loop from mine)
select
    m.source || ' ' || m.prompt_id as subject,
    case
        when m.spam
        then percent(m.special) || ' of ' || m.output_tokens || ' tokens are special tokens'
        when m.loop
        then percent(m.loop_share) || ' of ' || m.output_tokens || ' tokens repeat what stands before them'
        else m.output_tokens || ' tokens of text'
    end as observed,
    'an answer in words' as expected,
    (m.spam and sums.spam >= share and base.spam < share)
    or (m.loop and sums.loop >= share and base.loop < share) as fault,
    case when m.spam then 'error' else 'info' end as severity
from mine m, sums, base
where base.n > 0
order by fault desc, subject
