"""Refs for the shell's completion: nothing it does may be slow or fail."""

from __future__ import annotations

import click


def complete_refs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Runs and snapshots, and captures once an `@` is typed."""
    from forensics.store import refs
    from forensics.store.store import Store

    try:
        return refs.complete(Store.find(ctx.params.get("store")), incomplete)
    except Exception:  # noqa: BLE001 - a damaged store must not print into the user's prompt
        return []
