-- The same of the model that b means alone.
--
-- params: a, b
-- reads:  moves
SELECT * FROM moves WHERE model IS NOT DISTINCT FROM model_of(b)
