-- A compiled function computes with a number as it was when it was traced.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   loss-not-decreasing, learning-rate-zero, schedule-in-wrong-unit, update-too-large
-- claim:      A compiled function {observed}.
-- clean:      numbers that compiled functions name ({observed})
-- needs:      compiled
-- nothing:    a compiled function that is called again
-- params:     a, b, least = 2
-- numbers:    least - calls with another number than the program has
-- fix:        hand the number to the function as an argument, an mx.array: what a compiled function reads of
-- its closure or module is a constant from its first call on
-- fires on:   zoo/number-compiled
-- silent on:  zoo/healthy-number-argument, zoo/healthy-compiled
select
    coalesce(place, 'function ' || function) as subject,
    case
        when number_calls >= least
        then
            printf(
                'computed with %s, as it was when it was traced, in %d of its %d calls, while the program set '
                || 'this number anew, at last to %s',
                brief(number_traced),
                number_calls,
                calls,
                brief(number_later)
            )
        else 'computes with the numbers that the program has'
    end as observed,
    'the number that the program has at each call' as expected,
    coalesce(number_calls >= least, false) as fault,
    place
from compiled
where run = run_of(b) and calls > traces and purpose in ('step', 'gradient', 'forward')
order by fault desc, subject
