-- What is wrong with what came out, counted, the worst first: what `forensics prove` looks at to see
-- whether a cure took the harm away.
--
-- params:  a, b, special = 0.5
-- example: forensics query harm night
with
    k as materialized(
        select
            run_of(b) as run,
            model_of(b) as model,
            probes_at(a) as asked_before,
            probes_at(b) as asked,
            capture_of(b) as trained,
            at_point(b, 'start') as begun,
            at_point(b, 'reloaded') as reloaded
    ),
    updated as (
        select min(e.sequence) as first
        from events e
        join k using (run)
        where e.kind in ('update', 'write', 'grad')
    ),
    own as (  -- the program's own generations after training began
        select g.*, e.sequence
        from generations g
        join k using (run)
        cross join updated
        join
            events e
            on e.run = g.run
            and e.kind = 'generate'
            and e.process = g.process
            and (e.detail ->> 'generation')::integer = g.generation
        where e.sequence > updated.first
    ),
    answers as (
        select t.*
        from transcripts t
        join k on t.capture = k.asked
        where t.source = 'probe'
        union all
        select t.*
        from transcripts t
        join own on t.capture = own.capture and t.prompt_id = 'g' || own.generation
        where t.source = 'observed'
    ),
    harms as (
        select
            0 as rank,
            'errors that ended the program' as what,
            'errors' as unit,
            (r.exit_status <> 0)::bigint as amount,
            1 as among
        from runs r
        join k using (run)
        where r.exit_status is not null
        union all
        select
            1,
            'special tokens in answers',
            'tokens',
            sum(special_tokens) filter (special_tokens > special * output_tokens) as amount,
            sum(output_tokens) as among
        from answers
        union all
        select
            2,
            'tokens that repeat what stands before them',
            'tokens',
            sum(round(loop_share * output_tokens)) filter (
                loop_share > special
                and finish_reason is distinct from 'stop'
                and coalesce(special_tokens, 0) <= special * output_tokens
            ),
            sum(output_tokens)
        from answers
        union all
        select
            3,
            'answers that went on after their end',
            'answers',
            count(*) filter (end_position is not null),
            count(*)
        from own
        union all
        select
            4,
            'answers of a model that answers otherwise when asked again',
            'answers',
            count(*) filter (repeat_difference > 0),
            count(*)
        from own
        union all
        select
            5, 'tensors that are not finite', 'tensors', count(*) filter (t.nans > 0 or t.infs > 0), count(*)
        from placements p
        join k on p.capture = k.trained
        join tensors t using (digest)
        where p.role <> 'optimizer'
        union all
        select
            6,
            'probes answered otherwise after loading what was saved',
            'answers',
            count(*) filter (x.output_digest <> y.output_digest),
            count(*)
        from k
        join transcripts x on x.capture = k.asked
        join transcripts y on y.capture = k.reloaded and y.prompt_id = x.prompt_id
        where x.source = 'probe' and y.source = 'probe'
        union all
        select
            7,
            'answers of a model that was not the trained one',
            'answers',
            count(*) filter (other.n > 0),
            count(*)
        from own
        left join
            (
                select g.capture, count(*) as n
                from (select distinct capture from own) g
                join k on true
                join placements e on e.capture = k.trained
                join
                    placements s on s.capture = k.begun and s.canonical = e.canonical and s.digest <> e.digest
                left join placements p on p.capture = g.capture and p.canonical = e.canonical
                where e.role <> 'optimizer' and p.digest is distinct from e.digest
                group by g.capture
            ) other using (capture)
        where
            not exists (
                select 1
                from events e
                join k using (run)
                where e.kind in ('update', 'write') and e.sequence > own.sequence
            )
        union all
        select
            8,
            'answers from a prompt cache that the model would fill otherwise',
            'answers',
            count(*) filter (
                g.cache_difference > 0.02 * coalesce(g.logit_scale, 1) and g.cache_updates_behind > 0
            ),
            count(*)
        from generations g
        join k using (run)
        where g.cache_tokens > 0 and g.cache_difference is not null
        union all
        select
            9,
            'probes answered with the logits of before training',
            'answers',
            count(*) filter (d.same_output and d.logits_max_abs = 0),
            count(*)
        from probe_deltas d
        join k on d.capture_a = k.asked_before and d.capture_b = k.asked
        where trains(b)
        union all
        select
            10,
            'trainable tensors that never moved',
            'tensors',
            count(*) filter (s.digest = e.digest),
            count(*)
        from k
        join
            placements s
            on s.capture = k.begun
            and s.trainable
            and s.role <> 'optimizer'
            and s.shared_with is null
        join placements e on e.capture = k.trained and e.canonical = s.canonical
        union all
        select
            11,
            'saved tensors that are not those of the end',
            'tensors',
            count(*) filter (s.digest <> e.digest),
            count(*)
        from saved_tensors s
        join k using (run, model)
        join placements e on e.capture = k.trained and e.canonical = s.canonical
        where
            not exists (  -- a layer with an adapter may be saved fused: its weight is another one then
                select 1
                from placements f
                where
                    f.capture = k.trained
                    and adapter_role(f.role)
                    and not adapter_role(e.role)
                    and regexp_replace(f.canonical, '[^.]*$', '') = regexp_replace(e.canonical, '[^.]*$', '')
            )
            and (s.process, s.save) = (
                select max_by((x.process, x.save), x.save)
                from saved_tensors x
                join k using (run, model)
                where x.digest is not null
            )
        union all
        select
            12,
            'base tensors that moved beside an adapter, or outside the trainable set',
            'tensors',
            count(*) filter (s.digest <> e.digest),
            count(*)
        from k
        join placements s on s.capture = k.begun and s.role <> 'optimizer' and not adapter_role(s.role)
        join placements e on e.capture = k.trained and e.canonical = s.canonical
        where not s.trainable or has_adapter(b)
        union all
        select
            13,
            'tensors of adapter layers that were frozen whole, and never moved',
            'tensors',
            count(*) filter (not own.trained and s.digest = e.digest),
            count(*)
        from k
        join placements s on s.capture = k.begun and adapter_role(s.role)
        join placements e on e.capture = k.trained and e.canonical = s.canonical
        join
            (
                select regexp_replace(p.canonical, '[^.]*$', '') as pair, bool_or(p.trainable) as trained
                from placements p
                join k on p.capture = k.begun
                where adapter_role(p.role)
                group by pair
            ) own
            on own.pair = regexp_replace(s.canonical, '[^.]*$', '')
    )
select what, unit, coalesce(amount, 0)::bigint as amount, coalesce(among, 0)::bigint as among
from harms
where among > 0
order by rank
