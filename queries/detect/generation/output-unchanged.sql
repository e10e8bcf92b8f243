-- The trained model answers exactly as the base does.
--
-- severity:   warning
-- role:       symptom
-- confidence: certain
-- claim:      {looked:probe is|probes are all} answered exactly as before training{how}.
-- clean:      the answers (training changed them)
-- needs:      probes, end
-- nothing:    probes of a run that trains
-- capture:    Capture with --prompts FILE: the tool asks them before and after training.
-- fix:        look at the causes above; where there are none, train longer or at a higher rate, and ask
-- what the data teaches
-- harmless:   equal greedy answers with other logits (told as info)
-- fires on:   zoo/gradient-loop
-- silent on:  zoo/healthy-roundtrip
with
    k as materialized(select probes_at(a) as x, probes_at(b) as y),
    d as (
        select d.prompt_id, d.same_output, d.logits_max_abs
        from probe_deltas d
        join k on d.capture_a = k.x and d.capture_b = k.y
        union all
        select t.prompt_id, true, 0
        from transcripts t
        join k on k.x = k.y and t.capture = k.x
        where t.source = 'probe'
    ),
    all_ as (select bool_and(same_output) as same, bool_and(logits_max_abs = 0) as equal from d)
select
    'probe ' || d.prompt_id as subject,
    case when d.same_output then 'the same answer' else 'another answer' end
    || coalesce(printf(', logits differ by %.3g', d.logits_max_abs), '') as observed,
    'an answer that training changed' as expected,
    all_.same as fault,
    case when all_.equal then 'warning' else 'info' end as severity,
    case when all_.equal then ', with equal logits' else '' end as how
from d, all_
where
    trains(b)
    and a <> b
    and (run_of(a) <> run_of(b) or sequence_of(a) < sequence_of(at_point(b, 'end'))) is not false
order by subject
