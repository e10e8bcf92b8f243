-- The trainable set was empty.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   optimizer-never-stepped, parameters-unchanged, error-swallowed, output-unchanged,
-- lora-inert, saved-untrained, save-failed, loss-constant
-- claim:      Training began with an empty trainable set: {observed}.
-- clean:      the trainable set ({observed})
-- needs:      trainable
-- reads:      stillness
-- nothing:    an attempt to train
-- setting:    num_layers, fine_tune_type
-- fix:        call model.freeze() before the adapter is put in, not after: freeze() takes in the adapter
-- too; model.unfreeze(keys=["lora_a", "lora_b"], strict=False) mends it
-- fires on:   zoo/nothing-pipeline, zoo/nothing-api
-- silent on:  zoo/healthy-one-step, zoo/healthy-dora, zoo/healthy-rank-1
select
    'trainable set' as subject,
    s.trainables || ' tensors' as observed,
    'at least one' as expected,
    s.trainables = 0 as fault,
    coalesce(s.set_place, s.grad_place) as place
from stillness s
where s.tries and s.trainables is not null
order by subject
