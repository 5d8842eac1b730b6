# SPDX-License-Identifier: Apache-2.0
"""Candidates in processes of their own, run in turn, so that what disturbs one disturbs all."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Protocol

import numpy as np

from caer_ros.types import CaerError


class BenchmarkError(CaerError):
    """A part of the benchmark that cannot run on this machine."""


class Candidate(Protocol):
    """Something that can do the same piece of work again and again.

    faces: how many it found in the last frame, for work on frames.
    """

    faces: int

    def run(self, times: int) -> list[float]:
        """Do the work so many times; return the seconds each took."""

    def close(self) -> None: ...


class CandidateProcess:
    """Our own code: `load(*arguments)` in a fresh process returns the work to be timed.

    The work may return how many faces it found. What `load` raises is raised here.
    """

    def __init__(self, load: Callable[..., Callable[[], object]], *arguments: object) -> None:
        self.faces = 0
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            self._pool.submit(_load, load, *arguments).result()
        except BaseException:
            self.close()
            raise

    def run(self, times: int) -> list[float]:
        seconds, found = self._pool.submit(_run, times).result()
        self.faces = found or 0
        return seconds

    def close(self) -> None:
        self._pool.shutdown()


def time_interleaved(
    candidates: Mapping[str, Candidate], rounds: int, times: int
) -> dict[str, dict[str, float]]:
    """Let all candidates run in turn; return mean, median and p95 of each in milliseconds."""
    for candidate in candidates.values():
        candidate.run(times)  # not counted: caches fill, clocks rise
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            seconds[name] += candidate.run(times)
    return {
        name: {
            "mean_ms": 1e3 * float(np.mean(values)),
            "median_ms": 1e3 * float(np.median(values)),
            "p95_ms": 1e3 * float(np.quantile(values, 0.95)),
        }
        for name, values in seconds.items()
    }


def in_own_process(function: Callable[..., Any], *arguments: object) -> Any:
    """Return `function(*arguments)`, called in a fresh process, so that its memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


_work: Callable[[], object] | None = None


def _load(load: Callable[..., Callable[[], object]], *arguments: object) -> None:
    global _work
    _work = load(*arguments)


def _run(times: int) -> tuple[list[float], int | None]:
    assert _work is not None
    seconds = []
    found: object = None
    for _ in range(times):
        started = time.perf_counter()
        found = _work()
        seconds.append(time.perf_counter() - started)
    return seconds, found if isinstance(found, int) else None
