"""A hook of mkdocs: pages that are made from the queries, the commands and the schema, and lie in no file.

One page a finding, with what `forensics explain` says and the finding in a recorded run where one is shipped;
every command with its help; every table with its columns. Links out of docs/ go to the repository, where
`repo_url` names one.
"""

from __future__ import annotations

import re
from typing import Any

import click
from mkdocs.structure.files import File, Files

from forensics import schema
from forensics.cli import COMMANDS, main
from forensics.cli.explain import explained
from forensics.judge import library
from forensics.report.markdown import code, escaped


def on_files(files: Files, config: Any) -> Files:
    """Add the made pages."""
    made = {**finding_pages(), "reference/commands.md": commands_page(), "reference/tables.md": tables_page()}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """What lies outside docs/ is no page: its link becomes its path in the repository."""
    return (
        re.sub(r"\[([^\]]+)\]\(\.\./([^)#]+)\)", _outside(config), markdown)
        if "/" not in page.file.src_uri
        else markdown
    )


def _outside(config: Any) -> Any:
    def link(match: re.Match[str]) -> str:
        return (
            f"[{match[1]}]({config.repo_url}/blob/main/{match[2]})"
            if config.repo_url
            else f"{match[1]} (`{match[2]}`)"
        )

    return link


# -- findings ------------------------------------------------------------------------------------------------


def finding_pages() -> dict[str, str]:
    """findings/ID.md of each, and findings/index.md."""
    ours = library.load(None)
    rows = [
        f"| [`{d.name}`]({d.name}.md) | {escaped(d.title)} | {d.severity} | {d.role} |"
        for d in ours.detectors
    ]
    head = [
        "# Findings",
        "",
        "An id is for ever.",
        "",
        "| id | says | severity | role |",
        "| --- | --- | --- | --- |",
    ]
    pages = {"findings/index.md": "\n".join([*head, *rows]) + "\n"}
    known = {d.name for d in ours.detectors}
    for detector in ours.detectors:
        pages[f"findings/{detector.name}.md"] = finding_page(explained(detector.name, None), known)
    return pages


def finding_page(about: dict[str, Any], known: set[str]) -> str:
    """What it means, how it looks, how to mend it, and what looks like it."""
    blocks = [
        f"# {about['id']}",
        escaped(about["title"]),
        f"{about['severity'].capitalize()}, {about['role']}, {about['confidence']}.",
    ]
    if about["fix"]:
        blocks += ["## Mend it", _sentence(about["fix"])]
    if about["harmless"]:
        blocks += ["## When the same picture is in order", _sentence(about["harmless"])]
    if example := about["example"]:
        table = "| | observed | expected |\n| --- | --- | --- |\n"
        rows = (
            f"| {escaped(e['subject'])} | {escaped(e['observed'])} | {escaped(e['expected'])} |"
            for e in example["evidence"]
        )
        said = [f"**Where:** {code(example['where'])}"] if example["where"] else []
        said += [f"**Ruled out:** {escaped(each)}" for each in example["ruled_out"]]
        blocks += [
            f"## In a program that has it ({about['example_of']})",
            f"> {escaped(example['claim'])}",
            table + "\n".join(rows),
            "  \n".join(said),
        ]
    for title, key in (
        ("What follows from it", "explains"),
        ("What speaks for it when it is clean", "rules_out"),
    ):
        if names := about[key]:
            blocks += [
                f"## {title}",
                ", ".join(f"[`{n}`]({n}.md)" if n in known else f"`{n}`" for n in names),
            ]
    if about["references"]:
        blocks += ["## Seen in", "\n".join(f"- [{escaped(r)}]({_issue(r)})" for r in about["references"])]
    return "\n\n".join([*blocks, "## Check", f"```\n{about['check']}\n```"]) + "\n"


def _sentence(text: str) -> str:
    """A text of ours from a header, in which backticks are code and nothing else is markup."""
    parts = text.split("`")
    said = (
        "".join(code(part) if n % 2 else escaped(part) for n, part in enumerate(parts))
        if len(parts) % 2
        else escaped(text)
    )
    return said[:1].upper() + said[1:] + ("" if said.endswith((".", "!", "?")) else ".")


def _issue(reference: str) -> str:
    repository, _, number = reference.partition(" ")[0].partition("#")
    return f"https://github.com/{repository}/issues/{number}"


# -- reference -----------------------------------------------------------------------------------------------


def commands_page() -> str:
    """Every command with its help."""
    context = click.Context(main, info_name="forensics")
    blocks = ["# Commands", "```\n" + main.get_help(context) + "\n```"]
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        shown = command.get_help(click.Context(command, info_name=f"forensics {name}", max_content_width=100))
        blocks += [f"## {name}", COMMANDS[name], f"```\n{shown}\n```"]
    return "\n\n".join([*blocks, EXITS]) + "\n"


EXITS = """## Exit codes

| code | diagnose, diff, report and the like | check | prove |
| --- | --- | --- | --- |
| 0 | healthy, or the same | evaluated and absent | a cure was proved, or nothing is to be proved |
| 1 | a finding at or above `--fail-on`, or a difference | present | no cure was proved |
| 2 | usage, no such ref, a model that cannot be read | the same | the same |
| 3 | a bundle, snapshot or capture that is damaged or hostile | the same | the same |
| 4 | inconclusive | with `--plain-status` | the run could not be repeated as recorded |
| 125 | | not evaluated, or the program failed; `git bisect` skips it | |
| 130 | Ctrl-C | the program's own | Ctrl-C |

`capture` exits as the program does."""


def tables_page() -> str:
    """Every table with its columns and what they mean."""
    text = schema.text()
    blocks = [
        "# Tables",
        "Any DuckDB client reads them: [Read with DuckDB](../how-to/duckdb.md)."
        " NULL means not measured, never 0.",
    ]
    for comment, name, body in re.findall(
        r"((?:^--[^\n]*\n)+)CREATE TABLE (\w+) \((.*?)^\);", text, re.M | re.S
    ):
        told = " ".join(line.removeprefix("--").strip() for line in comment.splitlines())
        rows = [
            _columns(line) for line in body.splitlines() if line.strip() and not line.strip().startswith("--")
        ]
        table = "| column | meaning |\n| --- | --- |\n" + "\n".join(rows)
        blocks += [f"## {name}", escaped(told), table]
    return "\n\n".join(blocks) + "\n"


def _columns(line: str) -> str:
    columns, _, meaning = line.partition("--")
    named = ", ".join(code(each.strip()) for each in columns.strip().rstrip(",").split(", "))
    return f"| {named} | {escaped(meaning.strip())} |"
