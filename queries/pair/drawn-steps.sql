-- Steps of the model that b means on answers that the program drew itself. `zero`: no token of the step
-- carries weight, be it of a cross-entropy or not; `coefficient`: the largest that the loss was handed.
--
-- params: b
select
    s.process,
    s.step,
    coalesce(s.tokens, 0) = 0 and coalesce(s.gradient_norm, 0) = 0 and coalesce(s.forwards, 0) > 0 as zero,
    s.coefficient
from steps s
where s.run = run_of(b) and s.model = model_of(b) and s.forwards > 0 and s.drawn_rows > 0
