-- Each position is taught the token that it already sees.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, loss-not-decreasing, score-dropped, output-unchanged,
-- end-never-trained
-- claim:      {observed} of the targets are the token at the same position: the model learns to copy its
-- input.
-- clean:      the shift of the labels ({next} of the targets are the next token)
-- early:      what most positions so far were taught, the token in hand, no later step unteaches
-- rules out:  labels-shifted-twice
-- needs:      loss_tokens
-- reads:      alignment
-- nothing:    a target with weight
-- params:     a, b, share = 0.5
-- numbers:    share - half of the targets, in text a token follows itself far more seldom
-- fix:        logits = model(tokens[:, :-1]) against targets = tokens[:, 1:]
-- fires on:   zoo/unshifted-collator, zoo/unshifted-packed
-- silent on:  zoo/healthy-noise, zoo/healthy-prompt-in-loss-on-purpose
select
    n || ' targets' as subject,
    percent(same_) as observed,
    '0 %: a target is the next token' as expected,
    same_ >= share as fault,
    loss_place(b) as place,
    percent(next_) as next
from alignment
order by subject
