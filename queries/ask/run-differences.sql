-- In what two runs differ: what was asked for, what was done, what came out. Answers are compared where
-- both were asked the same, as far as that can be told.
--
-- params:  a, b
-- example: forensics query run-differences night other
with
    r as (
        select run_of(a) as run, model_of(a) as model, 'a' as side
        union all
        select run_of(b), model_of(b), 'b'
    ),
    facts as (
        select
            side,
            1 as rank,
            'adapter' as kind,
            'adapter declared: '
            || unnest(['kind', 'rank', 'scale', 'alpha', 'dropout', 'num_layers', 'keys']) as subject,
            unnest(
                [
                    kind,
                    cast(d.rank as varchar),
                    cast(scale as varchar),
                    cast(alpha as varchar),
                    cast(dropout as varchar),
                    cast(num_layers as varchar),
                    keys
                ]
            ) as value
        from adapters d
        join r on d.run = r.run
        where d.origin = 'declared' and d.strength = 'strong'
        union all
        select
            side,
            2,
            'adapter',
            'adapter at the end: ' || unnest(['kind', 'rank', 'scale', 'dropout', 'modules', 'keys']),
            unnest(
                [
                    kind,
                    cast(o.rank as varchar),
                    cast(scale as varchar),
                    cast(dropout as varchar),
                    cast(modules as varchar),
                    keys
                ]
            )
        from adapters o
        join r on o.capture = case side when 'a' then capture_of(a) else capture_of(b) end
        where o.origin = 'observed'
        union all
        select side, 3, 'trained', 'trainable tensors: ' || p.role, cast(count(*) as varchar)
        from placements p
        join
            r
            on p.capture = coalesce(
                case side when 'a' then at_point(a, 'start') else at_point(b, 'start') end,
                case side when 'a' then capture_of(a) else capture_of(b) end
            )
        where p.trainable and p.shared_with is null
        group by side, p.role
        union all
        select
            side,
            4,
            'loss',
            -- a row's first pad too
            'loss weight on ' || unnest(['prompts', 'answers', 'ends', 'all padding']),
            unnest(
                [
                    printf('%.0f %%', 100 * avg(weight_prompt)),
                    printf('%.0f %%', 100 * avg(weight_answer)),
                    printf('%.0f %%', 100 * avg(weight_end)),
                    printf('%.0f %%', 100 * avg(weight_pad))
                ]
            )
        from steps s
        join r on s.run = r.run and s.model = r.model
        group by side
        union all
        select
            side,
            5,
            'optimizer',
            'optimizer: ' || unnest(['class', 'learning rate', 'settings']),
            unnest([o.class, cast(o.learning_rate as varchar), o.settings])
        from optimizers o
        join r on o.capture = case side when 'a' then capture_of(a) else capture_of(b) end
        union all
        select side, 6, 'updates', 'updates', cast(m.updates as varchar)
        from models m
        join r on m.run = r.run and m.model = r.model
        union all
        select side, 7, 'call', e.kind || ': ' || je.key, cast(je.value as varchar)
        from events e
        join r on e.run = r.run, json_each(e.detail, '$.declared') je
        where e.kind = 'train'
        union all
        select side, 8, 'config', c.kind || ': ' || c.key, c.value
        from configs c
        join
            r on c.capture = r.run or c.capture = case side when 'a' then capture_of(a) else capture_of(b) end
        union all
        select
            side,
            9,
            unnest(['sampling', 'sampling', 'sampling', 'sampling', 'generation', 'generation']),
            'observed generations: '
            || unnest(['temperature', 'top-p', 'top-k', 'sampler', 'size of the stop set', 'finish']),
            unnest(
                [
                    string_agg(distinct brief((g.settings ->> 'temperature')::double), ', '),
                    string_agg(distinct brief((g.settings ->> 'top_p')::double), ', '),
                    string_agg(distinct g.settings ->> 'top_k', ', '),
                    string_agg(distinct g.sampler, ', '),
                    string_agg(distinct cast(g.stop_tokens as varchar), ', '),
                    string_agg(distinct g.finish_reason, ', ')
                ]
            )
        from generations g
        join r on g.run = r.run
        group by side
        union all
        select
            side,
            10,
            'answer',
            'answer to ' || t.prompt_id,
            case when t.special_tokens > 0 then t.special_tokens || ' special of ' else '' end
            || t.output_tokens
            || ' tokens, '
            || t.finish_reason
            || ' ('
            || left(t.output_digest, 8)
            || ')'
        from transcripts t
        join r on t.capture = case side when 'a' then probes_at(a) else probes_at(b) end
        where
            t.source = 'probe'
            and exists (
                select 1
                from transcripts o
                where
                    o.capture = case side when 'a' then probes_at(b) else probes_at(a) end
                    and o.source = 'probe'
                    and o.prompt_id = t.prompt_id
                    and o.prompt_digest is not distinct from t.prompt_digest
            )
        union all
        select side, 11, 'environment', 'environment: ' || n.key, n.value
        from environment n
        join r on n.capture = r.run
    ),
    keys as (
        select
            max(greatest(key_of(subject), key_of(value))) filter (side = 'a') as in_x,
            max(greatest(key_of(subject), key_of(value))) filter (side = 'b') as in_y
        from facts
    ),
    sides as (
        select
            facts.rank,
            facts.kind,
            facts.subject,
            string_agg(distinct value, '; ' order by value) filter (side = 'a') as in_a,
            string_agg(distinct value, '; ' order by value) filter (side = 'b') as in_b
        from facts
        where value is not null
        group by facts.rank, facts.kind, facts.subject
    )
select subject, in_a, in_b, kind
from sides, keys
where differ(in_a, in_b) and not (key_of(subject) <> '' and apart(in_x, in_y))
order by sides.rank, subject
