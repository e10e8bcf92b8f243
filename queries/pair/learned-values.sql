-- Parameters that training moved, by canonical name, with their value after it; adapter tensors among
-- them.
--
-- params: a, b
-- reads:  own_moves
select canonical, role, digest_a as before, digest_b as after from own_moves where changed
