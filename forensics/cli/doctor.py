"""forensics doctor: what is installed, what of a program would be seen, and how the store is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from forensics.cli.options import json_option, store_option

EXAMPLES = """\b
Examples:
  forensics doctor
  forensics doctor --python .venv/bin/python      the interpreter that the training uses
  forensics doctor --json > doctor.json           for a bug report

Exit status: 0 all in order; 1 something is not, and the line says what to do.
"""


@click.command("doctor", epilog=EXAMPLES)
@click.option(
    "--python",
    default="python",
    metavar="PYTHON",
    show_default=True,
    help="The interpreter of the training program.",
)
@json_option
@store_option
@click.pass_context
def command(ctx: click.Context, python: str, as_json: bool, store: Path | None) -> None:
    """Show what is installed, what of a program would be seen, and how the store is."""
    from forensics import health
    from forensics.store.place import find

    checks = [*health.installed(), *health.program(python), *health.store(find(store))]
    if as_json:
        from forensics.cli.screen import emit

        emit(
            {
                "schema": 1,
                "ok": all(check.ok is not False for check in checks),
                "checks": [_document(check) for check in checks],
            }
        )
    else:
        for check in checks:
            mark = {
                True: click.style("ok  ", fg="green"),
                False: click.style("no  ", fg="red", bold=True),
                None: "-   ",
            }[check.ok]
            click.echo(f"{mark}{check.what}: {check.observed}")
            if check.ok is False and check.do:
                click.echo(f"      do: {check.do}")
    ctx.exit(0 if all(check.ok is not False for check in checks) else 1)


def _document(check: Any) -> dict[str, Any]:
    return {"what": check.what, "ok": check.ok, "found": check.observed, "do": check.do}
