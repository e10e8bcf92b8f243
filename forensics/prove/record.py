"""What the record of a run says that a repeat of it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from forensics.judge.resolver import Opened, opened
from forensics.prove.launch import Launch, NotRepeatable, recorded
from forensics.prove.repeat import Repeat, measure
from forensics.store.store import Run, Store
from forensics.watch import protocol


class Record:
    """One recorded run: how it was started, and what came of it in the form in which repeats are counted."""

    def __init__(self, store: Store, named: Run) -> None:
        """
        Raises:
            ForensicsError: the run cannot be run again.
        """
        self.launch: Launch = recorded(named)
        self.evidence: Opened = opened(store, (named.name,))
        if self.evidence.empty is not None:
            raise NotRepeatable(
                f"Run {named.name} holds no capture.",
                where=named.name,
                hint="`forensics show` says what is missing, and why.",
            )
        status, seconds = named.head.get("exit_status"), named.head.get("seconds")
        self.outcome = Repeat(int(status or 0), float(seconds or 0.0), **measure(self.evidence))

    def options(self) -> protocol.Options:
        """What the recorded capture was asked for, and its probes as token ids."""
        session, b = self.evidence.session, self.evidence.b
        rows = session.rows(
            "SELECT prompt_id, prompt_ids FROM transcripts WHERE capture = probes_at(?) AND source = 'probe'"
            " AND prompt_ids IS NOT NULL",
            [b],
        )
        settings = session.rows(
            "SELECT key, value FROM configs WHERE capture = run_of(?) AND key LIKE 'forensics.%'", [b]
        )
        told = {str(row["key"]).removeprefix("forensics."): json.loads(str(row["value"])) for row in settings}
        prompts = [
            protocol.Prompt(id=str(row["prompt_id"]), ids=json.loads(str(row["prompt_ids"]))) for row in rows
        ]
        return {
            "prompts": prompts or None,
            "max_tokens": told.get("max_tokens"),
            "expect": told.get("expect"),
            "every": None,
            "reload": True,
        }

    def model_bytes(self) -> int:
        """Bytes of the model that was trained, 0 where they are not known."""
        rows = self.evidence.session.rows(
            "SELECT coalesce(sum(t.nbytes), 0)::BIGINT AS held"
            " FROM placements p JOIN tensors t USING (digest)"
            " WHERE p.capture = capture_of(?) AND p.role <> 'optimizer'",
            [self.evidence.b],
        )
        return int(rows[0]["held"])

    def written(self) -> Iterator[Path]:
        """Files that the run wrote."""
        for row in self.evidence.session.rows(
            "SELECT DISTINCT path FROM saved_tensors WHERE run = run_of(?)", [self.evidence.b]
        ):
            if row["path"]:
                yield self.launch.cwd / str(row["path"])

    def files(self) -> list[str]:
        """Files of the program in its own folder that the record names, by places in it.

        The configurations that its command names are among them.
        """
        rows = self.evidence.session.rows(
            "SELECT DISTINCT place FROM events WHERE run = run_of(?) AND place IS NOT NULL ORDER BY place",
            [self.evidence.b],
        )
        names = (str(row["place"]).rpartition(":")[0] for row in rows)
        own = [name for name in names if name.endswith(".py") and not Path(name).is_absolute()]
        words = (word.rpartition("=")[2] for word in self.launch.argv[1:])
        return own + [each for word in words if (each := self._configuration(word)) is not None]

    def _configuration(self, word: str) -> str | None:
        """The path of a YAML or JSON file below the folder, relative to it; None where the word is none."""
        path = self.launch.cwd / word
        if path.suffix not in (".yaml", ".yml", ".json") or not path.is_file():
            return None
        return str(path.relative_to(self.launch.cwd)) if path.is_relative_to(self.launch.cwd) else None

    def versions(self) -> dict[str, str]:
        """Of packages, as recorded."""
        rows = self.evidence.session.rows(
            "SELECT key, value FROM environment WHERE capture = run_of(?)", [self.evidence.b]
        )
        return {str(row["key"]): str(row["value"]) for row in rows}
