"""Refs and names for the shell's completion: nothing it does may be slow or fail."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class


class _Bash(BashComplete):
    """Bash takes `night@end` for three words, as long as it is not told otherwise."""

    name = "bash"
    source_template = "COMP_WORDBREAKS=${COMP_WORDBREAKS//@}\n" + BashComplete.source_template


def know_bash() -> None:
    """Have click write our lines for bash."""
    add_completion_class(_Bash)


def complete_refs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Runs and snapshots, captures once an `@` is typed, and files where none of these begins so."""
    from forensics import refs
    from forensics.store.place import find

    try:
        names = refs.complete(find(ctx.params.get("store")), incomplete)
    except Exception:  # noqa: BLE001 - a damaged store must not print into the user's prompt
        names = []
    return [CompletionItem(ref) for ref in names] or [CompletionItem(incomplete, type="file")]


def complete_queries(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of questions and detectors, private ones too."""
    from forensics.judge import library

    try:
        names = library.load(ctx.params.get("queries")).queries
    except Exception:  # noqa: BLE001 - nor may a private query that breaks the rules
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
