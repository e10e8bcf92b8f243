"""What the program said of its adapter and its training, beside what was seen."""

from __future__ import annotations

from forensics.judge.library import Sql
from forensics.judge.material import Declared


def declared(session: Sql, a: str, b: str) -> tuple[Declared, ...]:
    """One line for each setting that was declared and can be compared with what is there at `b`, or was done
    in its run: rows of queries/pair/settings-compared.sql.
    """
    rows = session.rows("SELECT * FROM settings_compared(?, ?)", [a, b])
    return tuple(Declared(r["setting"], r["declared"], r["observed"], r["agrees"]) for r in rows)
