"""What must have been seen before a run may be called healthy."""

from __future__ import annotations

import pytest

from tests.support.evidence import capture, evidence, run


@pytest.mark.parametrize(("gradients", "kind"), [(None, "unseen"), (0, "not-applicable")])
def test_gradients_that_an_older_version_did_not_count_are_not_none(gradients: int | None, kind: str) -> None:
    """A record of an old format holds updates and losses, and nothing of what the loss teaches."""
    over = evidence(run(gradients=gradients), capture("end"))
    gap = next(iter(over.rows("SELECT gap FROM need_loss_tokens('r@end', 'r@end')")))["gap"]
    assert gap["kind"] == kind
