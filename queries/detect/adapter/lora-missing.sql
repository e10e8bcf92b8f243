-- An adapter was meant, none was put in.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   base-weights-overwritten, full-weights-trained, nothing-trainable, save-failed,
-- adapter-not-loaded, reload-mismatch
-- claim:      {expected} was meant (by {via}), and the trained model has no adapter: {observed}.
-- clean:      a missing adapter ({observed})
-- rules out:  lora-target-unmatched, error-swallowed, adapter-not-loaded
-- needs:      run, every_event
-- reads:      declared, meant, stillness
-- long:       what was meant, what is there, and where each of them can be seen
-- nothing:    nothing says that an adapter was meant
-- setting:    fine_tune_type
-- fix:        call linear_to_lora_layers(model, num_layers, {{"rank": ..., "scale": ..., "dropout":
-- 0.0}}) after model.freeze() and before the optimizer's first update, and check that
-- tree_flatten(model.trainable_parameters()) holds lora_a
-- harmless:   a full fine-tune on purpose, beside an import that nothing calls: say so by --expect full,
-- or fine_tune_type "full"
-- fires on:   zoo/missing-classes, zoo/missing-loop, zoo/missing-pipeline
-- silent on:  zoo/healthy-dora, zoo/healthy-rank-1, zoo/healthy-mixed-ranks
with
    m as materialized(select * from meant),
    p as materialized(
        select
            count(*) as n,
            at_point(b, 'start') is not null as began,
            count(*) filter (adapter_role(role)) as adapter,
            count(*) filter (trainable and not adapter_role(role)) as trained
        from placements
        where capture = coalesce(at_point(b, 'start'), capture_of(b)) and role <> 'optimizer'
    ),
    later as (  -- one put in by hand is seen at the first gradient, where training never began
        select
            has_adapter(b)
            or exists (
                from events
                where
                    run = run_of(b)
                    and model = model_of(b)
                    and kind = 'grad'
                    and (detail ->> 'adapters')::integer > 0
            ) as there
    ),
    left_ as (  -- where training never began, what `freeze` left is known better than by a capture before it
        select any_value(trainables) as trainables from stillness
    ),
    tried as (select count(*) as n from events where run = run_of(b) and kind = 'convert'),
    keyed as (  -- keys that name no module are another fault
        select
            count(*) as n,
            count(*) filter (
                exists (
                    select 1
                    from modules x
                    where x.capture = capture_of(b) and answers_to(x.canonical, k.key_)
                )
            ) as answered
        from (select distinct unnest(keys) as key_ from declared where strength = 'strong') k
    )
select
    'adapter' as subject,
    case
        when p.adapter > 0 or later.there
        then p.adapter || ' adapter tensors'
        when least(p.trained, left_.trainables) > 0
        then least(p.trained, left_.trainables) || ' of ' || p.n || ' base tensors are trained'
        else 'nothing is left to train'
    end as observed,
    if(m.kind = 'dora', 'DoRA', 'LoRA') || coalesce(' of rank ' || m.rank, '') as expected,
    m.via,
    p.adapter = 0
    and not later.there
    and tried.n = 0
    and (keyed.n = 0 or keyed.answered > 0)
    -- one put in by hand is not seen where training never began: an import alone says too little then
    and (m.said or p.began or left_.trainables is distinct from 0) as fault,
    case when m.said then 'error' else 'warning' end as severity,  -- an import alone asks
    case when m.said then 'certain' else 'probable' end as confidence,
    -- else where training begins
    case when regexp_matches(m.place, ':[0-9]+$') then m.place else coalesce(t.place, m.place) end as place
from
    m,
    p,
    later,
    tried,
    keyed,
    left_,
    (
        select min_by(place, sequence) as place
        from events
        where run = run_of(b) and kind in ('grad', 'train')
    ) t
where m.kind in ('lora', 'dora') and tries(b) and p.n > 0
order by subject
