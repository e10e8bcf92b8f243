"""Operators that are only measured: whoever mends a detector does not look at them."""

READ: frozenset[str] = frozenset(
    {
        "accumulation-mismatch/only-the-last-part",
        "adapter-incomplete/resumed-from-one-layer",
        "adapter-not-loaded/as-torch-spells-them",
        "answers-partly-masked/header-counted-twice",
        "error-swallowed/clipping-called-without-its-bound",
        "mask-off-by-one/built-for-targets-and-cut-again",
        "rows-not-independent/scores-centred-over-the-batch",
        "setting-not-in-force/clipped-and-dropped",
        "setting-not-in-force/parameters-of-the-adapter-not-indented",
        "setting-not-in-force/rate-under-another-name",
        "stale-prompt-cache/warmed-with-the-question",
        "tokenizer-mismatch/two-words-change-ids",
        "wrong-model-updated/applied-and-not-put-back",
    }
)
"""Those that somebody read while mending a detector: they count as known, until they move there."""
