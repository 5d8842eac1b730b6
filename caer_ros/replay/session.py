# SPDX-License-Identifier: Apache-2.0
"""Replays of one test session: each bag is run once and judged as often as tests ask."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.node_settings import load_settings
from caer_ros.replay.expectations import Expectations
from caer_ros.replay.job import Job, replay, write_results
from caer_ros.replay.report import Recorder
from caer_ros.replay.stream import Sink, Step

_NO_PIXELS = np.zeros((1, 1, 3), np.uint8)


class _Memory(Sink):
    """All that came to pass in a replay but its pictures, to be told again."""

    def __init__(self) -> None:
        self._events: list[Callable[[Sink], None]] = []

    def take(self, step: Step) -> None:
        kept = replace(step, image=replace(step.image, pixels=_NO_PIXELS))
        self._events.append(lambda sink: sink.take(kept))

    def drop(self, time: int) -> None:
        self._events.append(lambda sink: sink.drop(time))

    def tell(self, *sinks: Sink) -> None:
        for event in self._events:
            for sink in sinks:
                event(sink)


class Session:
    """Bags that were replayed; `new_folder` gives a path for each folder of results."""

    def __init__(self, new_folder: Callable[[], Path]) -> None:
        self._new_folder = new_folder
        self._done: dict[tuple[object, ...], tuple[dict[str, Any], Path, _Memory]] = {}

    def judge(
        self, bag: Path, files: Sequence[tuple[str, str]], config: Path | None, realtime: bool
    ) -> tuple[dict[str, Any], Path]:
        """Return summary and folder of a replay, judged by (name, text) of expectation files.

        Raises:
            CaerError: where bag, config or expectations are no good.
        """
        expectations = Expectations(files, realtime=realtime)
        key = bag.resolve(), config and config.read_bytes(), realtime
        if key not in self._done:
            memory, folder = _Memory(), self._new_folder()
            job = Job(bag, folder, load_settings(config), realtime=realtime)
            self._done[key] = replay(job, show_progress=False, sinks=[memory]), folder, memory
        summary, before, memory = self._done[key]
        recorder = Recorder(pictures=False)
        memory.tell(expectations, recorder)
        verdicts = expectations.verdicts(summary["nobody"])
        summary = summary | {"expectations": list(map(asdict, verdicts))}
        folder = self._new_folder()
        shutil.copytree(before, folder)
        write_results(folder, summary, recorder)
        return summary, folder
