"""What the program said of its adapter and its training, beside what was seen."""

from __future__ import annotations

from forensics.judge.library import Sql
from forensics.judge.material import Declared


def declared(session: Sql) -> tuple[Declared, ...]:
    """One line for each declared setting that can be compared with what is at the pair's b, or with its run.

    These are the rows of queries/pair/settings-compared.sql, which is filled.
    """
    rows = session.rows("FROM settings_compared")
    return tuple(Declared(r["setting"], r["declared"], r["observed"], r["agrees"]) for r in rows)
