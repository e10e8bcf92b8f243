-- What a row of the batch gives depends on the rows beside it.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   generation-collapse, score-dropped
-- claim:      Each row is taught its own next tokens, and its outputs depend on the other rows of the batch:
-- {observed}.
-- clean:      what rows see of each other ({observed})
-- rules out:  attention-not-causal
-- needs:      row_independence
-- nothing:    a first batch with several rows
-- params:     a, b
-- fix:        look where the forward mixes the batch's axis: a reshape that puts rows in one sequence, a
-- mean or norm over axis 0, a mask that lets packed rows see each other
-- harmless:   experts that take so many tokens of a batch, and statistics of a batch, are meant to mix rows
-- fires on:   zoo/flattened-scratch
-- silent on:  zoo/healthy-scratch, zoo/healthy-half
select
    'rows whose neighbours were changed' as subject,
    case
        when most = 0
        then printf('the rows beside %d rows were changed, and their outputs did not move', samples)
        else
            printf(
                'the rows beside %d rows were changed, and half of the outputs of a row moved by %.3g or '
                || 'more (rounding by %.0e; they reach %.2g)',
                samples,
                most,
                rounding,
                scale
            )
            || coalesce('; rows are mixed on purpose by ' || design, '')
    end as observed,
    'outputs of a row that other rows do not change' as expected,
    most > rounding and design is null as fault,
    coalesce(place, gradient_place(b)) as place
from selftests
where run = run_of(b) and model = model_of(b) and test = 'rows' and kind is null
order by subject
