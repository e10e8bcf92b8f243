"""Prompt caches: what was read into each is remembered with it, its copies and its files."""

from __future__ import annotations

from ..generation.cache import follow
from ..moments import Moments


def install(run: Moments) -> None:
    run.patch("mlx_lm.models.cache", follow)
