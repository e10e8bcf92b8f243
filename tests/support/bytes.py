"""Tensors that are had by their digest, made of arrays: bytes for evidence that is made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forensics.records import RawTensor
from forensics.store.session import Session
from forensics.tensors import measure


class Bytes:
    """Tensors by digest, made of arrays."""

    def __init__(self) -> None:
        self.raw: dict[str, RawTensor] = {}

    def add(self, array: np.ndarray[Any, Any], dtype: str) -> str:
        data = array.tobytes()
        raw = RawTensor("t", dtype, array.shape, len(data), lambda start, stop: data[start:stop])
        digest = measure.measure(raw).digest
        self.raw[digest] = raw
        return digest

    def behind(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
        monkeypatch.setattr(session, "read", self.raw.get)
        return session
