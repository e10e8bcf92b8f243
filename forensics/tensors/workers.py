"""Who measures: threads of this process, or the workers of a Dask cluster (the extra `cluster`).

The cluster must be there already.

What they do is a function of a tensor's place, so it does not matter who does it, or whether it is done again
when a worker dies.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from forensics.errors import ClusterError, ForensicsError, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

X = TypeVar("X")
Y = TypeVar("Y")
DASK = "dask://"
_WAIT = 30
"""Seconds until a scheduler that does not answer is given up."""
_TASK, _CLUSTER_TASK = 4 << 20, 64 << 20
"""Bytes a task: what a task costs, 50 us here and some milliseconds on a cluster, is then little beside it.
"""
_FAR = 16
"""Threads for URLs, which wait more than they compute."""


@contextmanager
def threads(far: bool = False) -> Iterator[Executor]:
    """Threads for work on blocks; `far`: on those of URLs."""
    # it loads `logging`: nothing, where nothing is to be done
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_FAR if far else max(2, min(8, os.cpu_count() or 2))) as executor:
        yield executor


def kernels_for(nbytes: int) -> None:
    """Note how many bytes will be measured here; if none, NumPy is not loaded."""
    if nbytes:
        from forensics.tensors import kernels  # import time: NumPy

        kernels.expect(nbytes)


class Workers:
    """Applies a function to many tensors, each with its size in bytes, and gives the results in order."""

    def __init__(self, executor: str | None = None) -> None:
        """`executor`: dask://HOST:PORT of a scheduler; None for threads here."""
        if executor is not None and not executor.startswith(DASK):
            raise UsageError(
                f"{executor[:80]!r} is no executor.",
                where="--executor",
                hint="For example --executor dask://localhost:8786",
            )
        self._cluster = executor

    def map(
        self, do: Callable[[X], Y], items: Sequence[X], nbytes: Callable[[X], int], *, far: bool
    ) -> Iterator[Y]:
        """Each result, in order.

        Raises:
            ForensicsError: what `do` raises, and ClusterError where the cluster cannot be reached or went
            away.
        """
        if self._cluster is not None and items:
            tasks = [(do, batch) for batch in _batches(items, nbytes, _CLUSTER_TASK)]
            yield from _clustered(f"tcp://{self._cluster.removeprefix(DASK)}", tasks)
            return
        if not items:
            return
        with threads(far) as executor:
            yield from spread(executor, do, items, nbytes)


def spread(
    executor: Executor, do: Callable[[X], Y], items: Sequence[X], nbytes: Callable[[X], int]
) -> Iterator[Y]:
    """Each result, in order, of threads that take many small items at once; of few bytes none is begun."""
    batches = list(_batches(items, nbytes, _TASK))
    if len(batches) < 2:
        yield from map(do, items)
        return
    for done in executor.map(_map, [(do, batch) for batch in batches]):
        yield from done


def _clustered(address: str, tasks: Sequence[tuple[Callable[[X], Y], Sequence[X]]]) -> Iterator[Y]:
    try:
        import distributed  # of the extra `cluster`
    except ImportError as error:
        raise UsageError(
            "Dask is not installed.", where="--executor", hint="Install mlx-forensics[cluster]."
        ) from error
    try:
        client: Any = distributed.Client(address, timeout=_WAIT, set_as_default=False)
    except (OSError, ValueError) as error:
        hint = "Start one with `dask scheduler`; check host and port."
        raise ClusterError("There is no Dask scheduler.", where=address, hint=hint) from error
    with client:
        try:
            for future in client.map(_map, tasks, pure=False):
                yield from future.result()
        except ForensicsError:
            raise
        except BaseException as error:  # a cancelled future is none of Exception's
            if isinstance(error, (KeyboardInterrupt, GeneratorExit)):
                raise
            message = f"{type(error).__name__}: {str(error)[:200]}"
            hint = (
                "Nothing was kept; look at the workers' logs and try again. Each needs mlx-forensics, and the"
                " model at the same address."
            )
            raise ClusterError(
                f"The cluster did not do its work: {message}", where=address, hint=hint
            ) from error


def _map(task: tuple[Callable[[X], Y], Sequence[X]]) -> list[Y]:
    do, items = task
    return [do(item) for item in items]


def _batches(items: Sequence[X], nbytes: Callable[[X], int], most: int) -> Iterator[list[X]]:
    batch: list[X] = []
    size = 0
    for item in items:
        batch.append(item)
        size += nbytes(item)
        if size >= most:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
