"""Programs that run as several ranks."""

from __future__ import annotations

from tests.zoo.zoo import Case

# the ranks wrote different sums of their trained weights
APART = """
from pathlib import Path
fault = len({path.read_text() for path in Path(".").glob("checksum-*")}) > 1
"""

CASES = [
    Case(
        "ranks-apart",
        "ranks",
        ("ranks-diverged",),
        (("    grads = nn.average_gradients(grads, group)\n", ""),),
        APART,
    ),
    Case(
        "ranks-seeded",
        "ranks",
        ("ranks-diverged",),
        (("mx.random.seed(11)", "mx.random.seed(11 + rank)"),),
        APART,
    ),
    Case(
        "healthy-ranks",
        "ranks",
        swaps=(("per_rank=2", "per_rank=3"), ("range(24)", "range(16)")),
        evaluated=("ranks-diverged",),
    ),
]
