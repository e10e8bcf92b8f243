"""Templates of a page. Every value that one shows is escaped and made harmless.

Only what a template made is markup.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from forensics import files
from forensics.report.html.escape import harmless, token
from forensics.report.html.numbers import short
from forensics.units import counted

HERE = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Jinja2 with autoescape, and with our filter for strangers' words on all that is shown."""
    jinja = Environment(
        loader=FileSystemLoader(HERE),
        bytecode_cache=_compiled(),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do"],
    )
    jinja.globals["counted"] = counted
    jinja.filters |= {"token": token, "short": short, "sentence": lambda text: text[:1].upper() + text[1:]}
    jinja.filters |= {"issue": issue, "pieces": pieces}
    return jinja


class _Compiled(FileSystemBytecodeCache):
    """Compiled templates on disk; where they cannot be kept, they are compiled again."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)


def _compiled() -> _Compiled | None:
    """Templates as they were compiled once for this user, where there is a place for them."""
    place = files.cache_directory() / "pages"
    with suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _Compiled(str(place))
    return None


def issue(reference: str) -> str | None:
    """The address of OWNER/NAME#NUMBER, a title behind it or none; None for what is no public issue."""
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)#(\d+)", reference.partition(" ")[0], re.ASCII)
    return f"https://github.com/{match[1]}/issues/{match[2]}" if match else None


def pieces(text: str) -> list[str]:
    """Where long names of modules and paths may break: behind their dots, underscores and slashes."""
    return re.split(r"(?<=\w[._/])(?=\w)", harmless(text))


def _finalized(value: Any) -> Any:
    """What `{{ }}` shows: markup as it is, all else as harmless text, which Jinja2 then escapes."""
    return value if isinstance(value, Markup) else "" if value is None else harmless(value)


def macros(name: str) -> Any:
    """The macros of a template, as functions that return markup."""
    return environment().get_template(f"{name}.html").module
