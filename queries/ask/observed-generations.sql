-- Each generation of the program: which state of which model, its settings, and how it ended.
--
-- params:  a
-- example: forensics query observed-generations night
select
    generation,
    model,
    updates,
    via,
    sampler,
    prompt_tokens,
    output_tokens,
    finish_reason,
    stop_tokens,
    end_position,
    end_in_stop_set,
    frame,
    repeat_difference,
    eval_difference,
    cache_tokens,
    cache_updates_behind,
    settings,
    place
from generations
where run = run_of(a)
order by generation
