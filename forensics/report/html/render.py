"""Templates of a page. Every value that one shows is escaped and made harmless.

Only what a template made is markup.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from forensics.report.html.escape import harmless, token
from forensics.report.html.numbers import short
from forensics.units import counted

HERE = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Jinja2 with autoescape, and with our filter for strangers' words on all that is shown."""
    found = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do"],
    )
    found.globals["counted"] = counted
    found.filters |= {"token": token, "short": short, "sentence": lambda said: said[:1].upper() + said[1:]}
    found.filters["issue"] = issue
    return found


def issue(reference: str) -> str | None:
    """The address of OWNER/NAME#NUMBER; None for what is no issue of a public tracker."""
    found = re.fullmatch(r"([\w.-]+/[\w.-]+)#(\d+)", reference, re.ASCII)
    return f"https://github.com/{found[1]}/issues/{found[2]}" if found else None


def _finalized(value: Any) -> Any:
    """What `{{ }}` shows: markup as it is, all else as harmless text, which Jinja2 then escapes."""
    return value if isinstance(value, Markup) else "" if value is None else harmless(value)


def macros(name: str) -> Any:
    """The macros of a template, as functions that return markup."""
    return environment().get_template(f"{name}.html").module
