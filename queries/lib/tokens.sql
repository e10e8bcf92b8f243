-- What stands for a text that was left out of a bundle: ids-9c31-1f0c2a9b3d4e, its kind, the name of the key,
-- and a digest under that key. Under two keys equal texts have other digests, so two people's bundles say
-- nothing of whether these texts are equal.

-- The key under which the first such token of a value stands; '' where it holds none.
CREATE OR REPLACE MACRO key_of(x) AS regexp_extract(
    coalesce(x, ''), '\b(?:text|ids|path|file|name|url|dir|prompt)-([0-9a-f]{4})-[0-9a-f]{12}\b', 1);

-- The value with its tokens as kinds alone: what is left to compare where the keys differ.
CREATE OR REPLACE MACRO without_tokens(x) AS regexp_replace(
    x, '\b(text|ids|path|file|name|url|dir|prompt)-[0-9a-f]{4}-[0-9a-f]{12}\b', '\1', 'g');

-- Are these two keys, so that nothing that stands under them can be compared?
CREATE OR REPLACE MACRO apart(k, l) AS coalesce(k, '') <> '' AND coalesce(l, '') <> '' AND k <> l;

-- Do two values differ, as far as can be told?
CREATE OR REPLACE MACRO differ(x, y) AS x IS DISTINCT FROM y AND NOT (
    apart(key_of(x), key_of(y)) AND without_tokens(x) = without_tokens(y)
);
