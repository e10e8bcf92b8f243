-- Each position is taught the token after the next.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, loss-not-decreasing, score-dropped, output-unchanged,
-- end-never-trained
-- claim:      {observed} of the targets are the next token but one: the labels are shifted twice.
-- clean:      a second shift of the labels ({observed} of the targets are the next but one)
-- early:      what most positions so far were taught, the next token but one, no later step unteaches
-- rules out:  labels-not-shifted
-- needs:      loss_tokens
-- reads:      alignment
-- nothing:    a target with weight
-- params:     a, b, share = 0.5
-- numbers:    share - half of the targets, in text the next token but one is seldom the next as well
-- fix:        shift in one place: labels equal to the tokens in the data, logits[:, :-1] against
-- labels[:, 1:] in the loss
-- fires on:   zoo/twice-collator, zoo/twice-packed
-- silent on:  zoo/healthy-noise, zoo/healthy-prompt-in-loss-on-purpose
select
    n || ' targets' as subject,
    percent(second_) as observed,
    '0 %: a target is the next token' as expected,
    second_ >= share as fault,
    loss_place(b) as place,
    percent(next_) as next
from alignment
order by subject
