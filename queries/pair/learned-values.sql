-- Parameters that training moved, by canonical name, with their value after it; adapter tensors among them.
--
-- params: a, b
-- reads:  own_moves
SELECT canonical, role, digest_a AS before, digest_b AS after FROM own_moves WHERE changed
