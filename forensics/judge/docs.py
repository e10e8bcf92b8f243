"""docs/detectors.md and docs/queries.md, made from the headers of the queries.

`pytest --update-golden tests/house/test_docs.py` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensics.judge.library import Library
from forensics.judge.query import COLUMNS, HEADER, Detector

_MACRO = re.compile(r"((?:^--[^\n]*\n)+)CREATE OR REPLACE MACRO (\w+\([^)]*\))", re.M)
_WORDS = re.compile(r"\{(\w+):[^|}]*\|([^}]*)\}")  # {n:thing was|things were}
EXAMPLE = "capture-incomplete"


def detectors_page(library: Library) -> str:
    """Every finding that we can name, one section each."""
    lines = [
        "# Findings",
        "",
        (
            "Made from the headers of `queries/detect/<family>/*.sql`. An id is for ever."
            " `forensics query ID RUN` shows the rows"
        ),
        "behind a finding, those at fault and those that are in order.",
        "",
        "| id | says | severity | role |",
        "| --- | --- | --- | --- |",
        *(f"| [`{d.name}`](#{d.name}) | {d.title} | {d.severity} | {d.role} |" for d in library.detectors),
    ]
    for detector in library.detectors:
        lines += ["", *_section(detector)]
    return "\n".join(lines) + "\n"


def _section(d: Detector) -> Iterator[str]:
    yield f"## {d.name}"
    yield ""
    yield f"{d.title} {d.severity.capitalize()}, {d.role}, {d.confidence}."
    yield ""
    claim = _WORDS.sub(r"{\1} \2", d.text("claim"))
    yield f"- Says: {claim}"
    if d.text("fix"):
        yield f"- Fix: {d.text('fix')}"
    if d.text("harmless"):
        yield f"- Harmless: {d.text('harmless')}"
    for label, key in (("Explains", "explains"), ("Rules out by", "rules out"), ("Needs", "needs")):
        if names := d.names(key):
            yield f"- {label}: {', '.join(f'`{name}`' for name in names)}"
    if d.text("early"):
        yield f"- Asked while the run goes on: {d.text('early')}"
    if d.text("nothing"):
        yield f"- Not evaluated where there is nothing of its kind: {d.text('nothing')}"
    for p in d.params:
        if p.default is not None:
            yield f"- Number `{p.name} = {p.default}`: {d.reasons.get(p.name, '')}"
    if d.text("references"):
        yield f"- Seen in: {d.text('references')}"


def queries_page(library: Library) -> str:
    """How a query is written, what helps in writing it, and which ones there are."""
    example = library.get(EXAMPLE)
    lines = [
        "# Queries",
        "",
        (
            "A query is one `.sql` file: a header of `-- ` lines and one SELECT. It becomes a table macro,"
            " named as the file with hyphens"
        ),
        (
            "as underscores: `forensics query parameter-diff night`, or in SQL `FROM"
            " parameter_diff('night@loaded', 'night@end')`."
        ),
        (
            "A file whose header has a `severity` is a detector; its rows with `fault` true are evidence of"
            " one fault, those with `fault`"
        ),
        "false are what was looked at and is in order. Where it gives no row, it is not evaluated.",
        "",
        (
            "Your own queries stand in a directory of yours: `forensics diagnose night --queries"
            " ./my-queries`. They are checked when they are"
        ),
        (
            "loaded: one SELECT with an ORDER BY, the columns of their kind, known keys, no parameter that"
            " bears the name of a column that the"
        ),
        (
            "query reads (such a macro matches every row), and in a detector no private column"
            " (`queries/schema.sql` marks them)."
        ),
        "",
        "## The header",
        "",
        (
            "The title in one sentence, a blank `--` line, then `-- key: value` lines; what begins with `--`"
            " and three blanks carries on."
        ),
        "",
        *(f"- `{key}`: {meaning}" for key, meaning in HEADER.items()),
        "",
        (
            f"A detector gives the columns {', '.join(f'`{name}`' for name in COLUMNS)}; `severity`,"
            " `confidence` and `place` override"
        ),
        "the header by row, and further columns serve the texts.",
        "",
        f"## An example: {EXAMPLE}.sql",
        "",
        "```sql",
        example.path.read_text(encoding="utf-8").rstrip(),
        "```",
        "",
        "A rule of one team, with a number of its own that `--set most=0.001` or an argument changes:",
        "",
        "```sql",
        _PRIVATE.rstrip(),
        "```",
        "",
        "## Facts that `needs` may name",
        "",
        (
            "Each is a macro `need_<fact>(a, b)` with one row: `missing` is NULL where the fact is there,"
            " else what is needed, in words."
        ),
        "",
        *(
            f"- `{name.removeprefix('need_').partition('(')[0]}`: {meaning}"
            for name, meaning in _helpers(library)
            if name.startswith("need_")
        ),
        "",
        "## Tables of the pair",
        "",
        (
            "What several detectors ask of the two captures that are judged is a file of `queries/pair`. It"
            " is a table, filled once: name it"
        ),
        (
            "in `reads` and write `FROM moves`. In any other SQL it is a macro:"
            " `FROM moves('night@loaded', 'night@end')`."
        ),
        "",
        *(
            f"- `{table.signature}`: {table.title}"
            for table in sorted(library.tables.values(), key=lambda table: table.name)
        ),
        "",
        "## Helper macros",
        "",
        *(f"- `{name}`: {meaning}" for name, meaning in _helpers(library) if not name.startswith("need_")),
        "",
        "## Questions",
        "",
        "| name | asks | for example |",
        "| --- | --- | --- |",
        *(f"| `{q.name}` | {q.title} | `{q.header.get('example', '')}` |" for q in library.questions),
    ]
    return "\n".join(lines) + "\n"


def _helpers(library: Library) -> Iterator[tuple[str, str]]:
    """Each helper macro's signature and the comment above it."""
    for text in library.helpers.values():
        for comment, signature in _MACRO.findall(text):
            yield (
                signature,
                " ".join(line.removeprefix("--").strip() for line in comment.splitlines()).strip(),
            )


_PRIVATE = """-- The learning rate is above what we agreed on.
--
-- severity:   warning
-- role:       cause
-- confidence: certain
-- needs:      steps
-- params:     a, b, most = 0.0003
-- claim:      {n} of {looked} steps have a learning rate above {expected}; the first is step {subject} with
--             {observed}.
-- clean:      the learning rate (at most {expected} in {looked} steps)
-- fix:        set learning_rate to {expected} or less
SELECT CAST(step AS VARCHAR) AS subject, CAST(learning_rate AS VARCHAR) AS observed,
CAST(most AS VARCHAR) AS expected,
    learning_rate > most AS fault
FROM steps
WHERE run = run_of(b) AND model = model_of(b) AND learning_rate IS NOT NULL
ORDER BY step
"""
