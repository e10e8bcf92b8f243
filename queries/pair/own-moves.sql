-- The same of the model that b means alone.
--
-- params: a, b
-- reads:  moves
select * from moves where model is not distinct from model_of(b)
