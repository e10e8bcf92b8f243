-- What a model says of a row depends on how much padding stands behind it.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   score-dropped, loss-not-decreasing
-- claim:      What the model says of a row depends on the padding behind it: {observed}.
-- clean:      what padding behind a row changes ({observed})
-- needs:      run
-- nothing:    a model that says one thing of each row, and is called with rows of several widths
-- params:     a, b, far = 10, whole = 1
-- numbers:    far - times the rounding; whole - how far rows are apart: what moves a row as far as another
-- text does is an error, less a warning
-- fix:        read each row at its last token (lengths - 1, or the position before the padding), and leave
-- padding out of means by the mask
-- fires on:   zoo/scorer-last-position
-- silent on:  zoo/healthy-scorer
select
    'rows with and without their padding' as subject,
    case
        when most > far * rounding
        then
            printf(
                'without the padding behind them the outputs of %d rows of its first batch move by %.3g to %.3g '
                || '(rounding by %.0e; all rows of that batch lie within %.3g of each other), and it is called '
                || 'with rows of several widths',
                samples,
                least,
                most,
                rounding,
                scale
            )
        else printf('without the padding behind them the outputs of %d rows did not move', samples)
    end as observed,
    'the same output, however much padding stands behind a row' as expected,
    most > far * rounding as fault,
    case when most > whole * scale then 'error' else 'warning' end as severity,
    case when most > whole * scale then 'certain' else 'probable' end as confidence,
    coalesce(place, gradient_place(b)) as place
from selftests
where run = run_of(b) and model = model_of(b) and test = 'padding' and kind is null
order by subject
