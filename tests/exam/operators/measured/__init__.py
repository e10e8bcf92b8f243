"""Operators that are only measured: whoever mends a detector does not look at them.

Those that somebody read while mending one belong to the known half from then on.
"""

READ = frozenset(
    {
        "adapter-incomplete/attention-only",
        "dropout-in-generation/layers-set-by-hand",
        "gradient-discarded/mask-of-gradients",
        "gradient-discarded/norm-floor",
        "loss-sign-flipped/ascends",
        "randomness-in-generation/noisy-embedding",
        "saved-untrained/from-a-fresh-conversion",
        "stale-model-in-generation/adapter-switched-off",
        "stop-token-missing/added-as-text",
        "template-mismatch/assistant-header-left-out",
        "update-too-large/rate-of-another-optimizer",
        "weights-not-finite/log-of-zero",
    }
)
"""What was read: it counts as known."""
