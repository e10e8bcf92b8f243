"""Evidence in Python and in notebooks: the same words as on the command line, objects that show themselves.

    import forensics
    case = forensics.open("night")             # a run, "bug.zip", or a pair:
                                               # ("night@start", "night@end"), ("./base", "./trained")
    case.diagnosis                             # a notebook shows the verdict and the causes as cards
    case.diagnosis.findings[0].fix
    case.comparison.changed[:3]
    case.query("loss-by-role")
    case.sql("SELECT step, loss FROM steps")
    case.report("night.html")

Nothing here captures or changes anything; what raises is a ForensicsError, with `message`, `where` and
`hint`. What a call needs is imported when it is made: `import forensics` is to be quick.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from forensics.judge.material import Heat
from forensics.records import Comparison, Diagnosis, Finding, TwoRuns

if TYPE_CHECKING:
    from forensics.judge.resolver import Opened
    from forensics.store.session import Session

__all__ = [
    "Captured",
    "Case",
    "Compared",
    "Diagnosed",
    "DiagnosedTwo",
    "FindingCard",
    "Rows",
    "diagnose",
    "diff",
    "list",
    "open",
    "show",
]

Ref = str | PathLike[str]
_T = TypeVar("_T")


def open(
    *refs: Ref, adapter: Ref | None = None, store: Ref | None = None, queries: Ref | None = None
) -> Case:
    """Open what the refs mean, as `forensics diagnose` does.

    Nothing is the newest run; else a run, or two captures, models or runs.

    `adapter`: with a model on disk, the adapter on it. `store`: where captures live, else FORENSICS_STORE,
    else .forensics. `queries`: a directory of private queries beside the shipped ones.

    Raises:
        ForensicsError: no such ref, a model that cannot be read, damaged evidence, a private query that
        breaks the rules.
    """
    from forensics.judge.resolver import opened
    from forensics.store.place import find

    private = _path(queries)
    return Case(
        opened(
            find(_path(store)),
            [fspath(ref) for ref in refs],
            adapter=_path(adapter),
            queries=private,
            ask=True,
        ),
        private,
    )


def diagnose(*refs: Ref, adapter: Ref | None = None, store: Ref | None = None) -> Diagnosed | DiagnosedTwo:
    """What went wrong, with its evidence: `open(...).diagnosis`. Raises as `open`."""
    return open(*refs, adapter=adapter, store=store).diagnosis


def diff(*refs: Ref, adapter: Ref | None = None, store: Ref | None = None) -> Compared:
    """In what two captures, models or runs differ: `open(...).comparison`. Raises as `open`."""
    return open(*refs, adapter=adapter, store=store).comparison


def show(ref: Ref, store: Ref | None = None) -> Captured:
    """What one capture or run holds, and what is missing in it. Raises as `open`."""
    from forensics import evidence
    from forensics.store import facts
    from forensics.store.place import find
    from forensics.store.store import Run

    subject = evidence.run_or_capture(find(_path(store)), fspath(ref))
    if isinstance(subject, Run):
        return Captured(facts.of_run(subject))
    owner = subject.store.run(subject.run.removeprefix(subject.prefix)) if subject.store else None
    return Captured(facts.of_capture(subject, owner))


def list(store: Ref | None = None) -> Rows:
    """The runs of the store, oldest first, as `forensics list --json` has them. Raises as `open`."""
    from forensics.store.overview import document, overview
    from forensics.store.place import find

    return Rows(document(line) for line in overview(find(_path(store))))


class Case:
    """Opened evidence: `a` and `b` are the refs of the two captures that stand against each other."""

    def __init__(self, evidence: Opened, queries: Path | None = None) -> None:
        self._evidence = evidence
        self._queries = str(queries.resolve()) if queries else None
        self.a, self.b = evidence.a, evidence.b

    @cached_property
    def diagnosis(self) -> Diagnosed | DiagnosedTwo:
        """The verdict and its findings, causes first."""
        from forensics.judge.diagnose import diagnose_opened

        diagnosis = diagnose_opened(self._evidence)
        findings = {"findings": tuple(_as(FindingCard, f) for f in diagnosis.findings)}
        if isinstance(diagnosis, TwoRuns):
            return _as(DiagnosedTwo, diagnosis, **findings)
        return _as(Diagnosed, diagnosis, **findings)

    @cached_property
    def comparison(self) -> Compared:
        """Every difference of `a` and `b`; numbers are None where they were not measured."""
        from forensics.judge.compare import compare
        from forensics.judge.picture import heat

        session = self._evidence.session
        return _as(Compared, compare(session, self.a, self.b), heat=heat(session, self.a, self.b))

    def query(self, name: str) -> Rows:
        """The rows of a prepared question, or those behind a finding, by its id.

        Raises:
            ForensicsError: no query has that name.
        """
        from forensics.judge.resolver import beginning

        query = self._evidence.library.get(name)
        given = [self.b] if query.refs == 1 else [beginning(self._evidence, query), self.b][: query.refs]
        return Rows(
            self._session.select(f"SELECT * FROM {query.macro}({', '.join('?' * len(given))})", given)
        )

    def sql(
        self,
        statement: str,
        parameters: Sequence[Any] | None = None,
        *,
        memory: int = 2 << 30,
        seconds: float = 300.0,
    ) -> Rows:
        """Rows of one SELECT over the tables of these captures alone, which it cannot change.

        `?` stands for a parameter.

        It runs in a process of its own, as `forensics sql` does: a statement of a stranger's takes `memory`
        bytes and `seconds` at most.

        Raises:
            ForensicsError: the statement is wrong, reaches for what lies outside, or takes more than it may.
        """
        from forensics.judge.usersql import Running

        answer = Running(
            {"rows": str(self._rows), "queries": self._queries}, statement, memory, seconds, parameters or ()
        )
        columns = answer.columns()
        return Rows((dict(zip(columns, row, strict=True)) for row in answer.rows()), columns)

    def arrow(self, statement: str) -> Any:
        """`sql(statement)` as a pyarrow.Table. Raises as `sql`, and ForensicsError without pyarrow."""
        return self.sql(statement).arrow()

    def pl(self, statement: str) -> Any:
        """`sql(statement)` as a polars.DataFrame. Raises as `sql`, and ForensicsError without polars."""
        return self.sql(statement).pl()

    def df(self, statement: str) -> Any:
        """`sql(statement)` as a pandas.DataFrame. Raises as `sql`, and ForensicsError without pandas."""
        return self.sql(statement).df()

    @cached_property
    def _rows(self) -> Path:
        """A directory with the rows of these captures, for the process that is asked.

        It goes when this one ends.
        """
        from tempfile import mkdtemp

        from forensics.files import scratch

        place = Path(mkdtemp(dir=scratch("case")))
        self._evidence.session.export(place)
        return place

    @cached_property
    def _session(self) -> Session:
        """The session, with the macro of every query in it."""
        self._evidence.library.install(self._evidence.session)
        return self._evidence.session

    def report(self, path: Ref) -> Path:
        """Write the page that `forensics report` writes, and return where.

        Raises:
            OSError: the file cannot be written.
        """
        from forensics.files import write_whole
        from forensics.judge.pipeline import gathered
        from forensics.report.html import page

        target = Path(path)
        write_whole(target, page(*gathered(self._evidence)).encode("utf-8", "replace"))
        return target

    def __repr__(self) -> str:
        return f"<Case {self.a} -> {self.b}>"

    def _repr_html_(self) -> str:
        return self.diagnosis._repr_html_()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        self.diagnosis._repr_pretty_(printer, cycle)


# -- records that show themselves ----------------------------------------------------------------------------


class Printed:
    """Where IPython shows text alone, it shows what `print` would."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


class FindingCard(Finding):
    """A finding; a notebook shows it as a card."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from forensics.report.html import fragment

        return fragment.finding(self)


class Diagnosed(Printed, Diagnosis):
    """A diagnosis; a notebook shows its verdict and its causes as cards, `print` what the command prints."""

    __slots__ = ()

    def __str__(self) -> str:
        from forensics.report.terminal.diagnosis import diagnosis

        return diagnosis(self, 80).plain

    def _repr_html_(self) -> str:
        from forensics.report.html import fragment

        return fragment.diagnosis(self)


class DiagnosedTwo(Printed, TwoRuns):
    """Two runs, judged each and against each other."""

    __slots__ = ()

    def __str__(self) -> str:
        from forensics.report.terminal.diagnosis import diagnosis

        return diagnosis(self, 80).plain

    def _repr_html_(self) -> str:
        from forensics.report.html import fragment

        return fragment.diagnosis(self)


@dataclass(frozen=True, slots=True, repr=False)
class Compared(Printed, Comparison):
    """A comparison, with the picture of what changed by module and layer."""

    heat: Heat = Heat()

    def __str__(self) -> str:
        from forensics.report.terminal.difference import comparison

        return comparison(self, self.heat, 80).plain

    def _repr_html_(self) -> str:
        from forensics.report.html import fragment

        return fragment.comparison(self, self.heat)


class Captured(Printed, dict[str, Any]):
    """What a capture or a run holds, as `forensics show --json` gives it."""

    def __str__(self) -> str:
        from forensics.report.terminal import summary

        return (summary.run if self["kind"] == "run" else summary.capture)(self, 80).plain

    def _repr_html_(self) -> str:
        from forensics.report.html import fragment

        return fragment.capture(self)


class Rows(builtins.list[dict[str, Any]]):
    """Rows of a query: a list of dicts, and `.arrow()`, `.pl()`, `.df()` of them.

    `columns` are there without rows, too.
    """

    def __init__(self, rows: Iterable[dict[str, Any]] = (), columns: Sequence[str] = ()) -> None:
        super().__init__(rows)
        self.columns = builtins.list(columns or (self[0] if self else ()))

    def arrow(self) -> Any:
        """A pyarrow.Table."""
        table = _library("pyarrow").Table
        values = {name: [row[name] for row in self] for name in self.columns}
        return table.from_pydict(values)

    def pl(self) -> Any:
        """A polars.DataFrame."""
        values = {name: [row[name] for row in self] for name in self.columns}
        return _library("polars").DataFrame(values, strict=False)

    def df(self) -> Any:
        """A pandas.DataFrame."""
        return _library("pandas").DataFrame(builtins.list(self), columns=self.columns)

    def _repr_html_(self) -> str:
        from forensics.report.html import fragment

        return fragment.rows(self)


def _library(name: str) -> Any:
    """A library that the user has, or is told to install."""
    from importlib import import_module

    from forensics.errors import UsageError

    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(f"{name} is not installed here.", name, f"pip install {name}") from error


def _as(kind: type[_T], record: Any, **more: object) -> _T:
    """A record as its kind that shows itself."""
    return kind(**{f.name: getattr(record, f.name) for f in fields(record)} | more)


def _path(ref: Ref | None) -> Path | None:
    return None if ref is None else Path(ref)
