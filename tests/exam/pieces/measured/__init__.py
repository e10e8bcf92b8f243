"""Pieces that are only measured: whoever mends a detector does not look at them."""

READ: frozenset[str] = frozenset({"generation/one-conversation", "loop/tree-of-parameters"})
"""Those that somebody read while mending a detector: they count as known, until they move there."""
