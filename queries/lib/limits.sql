-- Numbers and comparisons that several queries share, each with its reason. A number of one query is a
-- parameter of that query, with its reason under the key `numbers` of its header.

-- Largest share of a position's gradient that no cross-entropy explains, where its target and weight still
-- count as read. A cross-entropy, focal or preference loss leaves 0, label smoothing leaves 0.18,
-- distillation
-- 0.9 (measured): anything between 0 and 0.18 tells them apart.
CREATE OR REPLACE MACRO residual_most() AS 0.05;

-- Are a position's target and weight those of a cross-entropy?
CREATE OR REPLACE MACRO is_cross_entropy(residual) AS residual <= residual_most();

-- Largest difference of logits, as a share of the largest logit, that rounding explains: about five roundings
-- to bfloat16, each of at most 2^-8 = 0.004.
CREATE OR REPLACE MACRO logit_noise() AS 0.02;

-- The same in float32, where one rounding is 2^-24 and sums over some thousand terms lose three digits.
CREATE OR REPLACE MACRO logit_noise_float32() AS 1e-3;

-- The largest relative error of rounding a number to a dtype: half the spacing of its significand of 24, 11
-- or 8 bits (a definition). NULL for other dtypes.
CREATE OR REPLACE MACRO roundoff(dtype) AS (
    CASE dtype WHEN 'F32' THEN pow(2.0, -24) WHEN 'F16' THEN pow(2.0, -11) WHEN 'BF16' THEN pow(2.0, -8) END
);

-- How far a tensor in another type or packing may lie from what it was made of, as a share of its norm: 2 bits
-- leave a third off, another tensor lies 1.4 away.
CREATE OR REPLACE MACRO other_form() AS 0.5;

-- Is a part more than half of the whole? What most of something does (a definition).
CREATE OR REPLACE MACRO mostly(part, whole) AS 2 * part > whole;

-- Are two settings equal, but for digits that a float32 does not hold (it has seven) or that a file was
-- written without?
CREATE OR REPLACE MACRO close_to(x, y) AS abs(x - y) <= 1e-5 * abs(y);

-- The share of an adapter's update below which it counts as lost in fused weights, and above which it counts
-- as there twice: half way between 0, 1 and 2, where each of the three lies.
CREATE OR REPLACE MACRO fused_least() AS 0.5;
CREATE OR REPLACE MACRO fused_most() AS 1.5;

-- How far what was added to a base may lie from its adapter's update, as a share of that update, in a fuse
-- that is right: above rounding, below what changes an answer.
CREATE OR REPLACE MACRO fuse_off() AS 0.05;

-- Times what the dtype rounds off, which a wrong fuse exceeds by far; the same sum in another order does not.
CREATE OR REPLACE MACRO fuse_roundings() AS 10;
