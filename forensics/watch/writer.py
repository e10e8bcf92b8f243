"""The types by which the watcher's rows are checked.

Each table with its columns, each kind of event with its detail.
"""

from __future__ import annotations

from typing import Any, Literal, Unpack, overload

from .captured import Config, Missing, Module, Optimizer, Placement, Token, Transcript
from .events import (
    Compile,
    Convert,
    Encode,
    Ended,
    Error,
    Evaluate,
    Freeze,
    Fuse,
    Generate,
    Grad,
    Input,
    Load,
    Loss,
    Made,
    Measure,
    Range,
    Save,
    Seed,
    Train,
    Update,
    Write,
)
from .models import Model as Live
from .protocol import (
    Adapter,
    Capture,
    Cell,
    Compiled,
    Cure,
    Dataset,
    Decision,
    Event,
    Generation,
    Judged,
    Model,
    Move,
    SavedTensor,
    Schedule,
)
from .steprows import Forward, Gradient, SelfTest, Step, TrainingRow, Weights, Word


class Writer:
    """How the watcher writes rows: `Watch` in run.py is one."""

    @overload
    def row(self, table: Literal["missing"], /, **values: Unpack[Missing]) -> None: ...
    @overload
    def row(self, table: Literal["captures"], /, **values: Unpack[Capture]) -> None: ...
    @overload
    def row(self, table: Literal["cures"], /, **values: Unpack[Cure]) -> None: ...
    @overload
    def row(self, table: Literal["decisions"], /, **values: Unpack[Decision]) -> None: ...
    @overload
    def row(self, table: Literal["judged"], /, **values: Unpack[Judged]) -> None: ...
    @overload
    def row(self, table: Literal["models"], /, **values: Unpack[Model]) -> None: ...
    @overload
    def row(self, table: Literal["events"], /, **values: Unpack[Event]) -> None: ...
    @overload
    def row(self, table: Literal["steps"], /, **values: Unpack[Step]) -> None: ...
    @overload
    def row(self, table: Literal["gradients"], /, **values: Unpack[Gradient]) -> None: ...
    @overload
    def row(self, table: Literal["forwards"], /, **values: Unpack[Forward]) -> None: ...
    @overload
    def row(self, table: Literal["weights"], /, **values: Unpack[Weights]) -> None: ...
    @overload
    def row(self, table: Literal["rows"], /, **values: Unpack[TrainingRow]) -> None: ...
    @overload
    def row(self, table: Literal["words"], /, **values: Unpack[Word]) -> None: ...
    @overload
    def row(self, table: Literal["moves"], /, **values: Unpack[Move]) -> None: ...
    @overload
    def row(self, table: Literal["saved_tensors"], /, **values: Unpack[SavedTensor]) -> None: ...
    @overload
    def row(self, table: Literal["compiled"], /, **values: Unpack[Compiled]) -> None: ...
    @overload
    def row(self, table: Literal["generations"], /, **values: Unpack[Generation]) -> None: ...
    @overload
    def row(self, table: Literal["schedules"], /, **values: Unpack[Schedule]) -> None: ...
    @overload
    def row(self, table: Literal["selftests"], /, **values: Unpack[SelfTest]) -> None: ...
    @overload
    def row(self, table: Literal["datasets"], /, **values: Unpack[Dataset]) -> None: ...
    @overload
    def row(self, table: Literal["adapters"], /, **values: Unpack[Adapter]) -> None: ...
    @overload
    def row(self, table: Literal["cells"], /, **values: Unpack[Cell]) -> None: ...
    @overload
    def row(self, table: Literal["configs"], /, **values: Unpack[Config]) -> None: ...
    def row(self, table: str, /, **values: Any) -> None:
        """Append a row to a table of the process."""

    @overload
    def part(self, capture: str, table: Literal["modules"], /, **values: Unpack[Module]) -> None: ...
    @overload
    def part(self, capture: str, table: Literal["placements"], /, **values: Unpack[Placement]) -> None: ...
    @overload
    def part(self, capture: str, table: Literal["optimizers"], /, **values: Unpack[Optimizer]) -> None: ...
    @overload
    def part(self, capture: str, table: Literal["configs"], /, **values: Unpack[Config]) -> None: ...
    @overload
    def part(self, capture: str, table: Literal["transcripts"], /, **values: Unpack[Transcript]) -> None: ...
    @overload
    def part(self, capture: str, table: Literal["tokens"], /, **values: Unpack[Token]) -> None: ...
    def part(self, capture: str, table: str, /, **values: Any) -> None:
        """Append a row to a table of a capture, which is named by its directory."""

    @overload
    def event(
        self,
        kind: Literal["load"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Load],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["freeze"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Freeze],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["unfreeze"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Freeze],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["convert"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Convert],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["train"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Train],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["grad"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Grad],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["loss"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Loss],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["optimizer"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Made],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["range"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Range],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["encode"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Encode],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["update"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Update],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["input"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Input],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["write"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Write],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["compile"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Compile],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["save"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Save],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["fuse"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Fuse],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["generate"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Generate],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["evaluate"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Evaluate],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["measure"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Measure],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["seed"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Seed],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["error"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Error],
    ) -> None: ...
    @overload
    def event(
        self,
        kind: Literal["exit"],
        model: Live | None = None,
        place: str | None = None,
        /,
        **detail: Unpack[Ended],
    ) -> None: ...
    def event(self, kind: str, model: Live | None = None, place: str | None = None, /, **detail: Any) -> None:
        """Append a row to events; `place` defaults to the innermost line of the user's program."""
