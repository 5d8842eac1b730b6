# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from caer_ros.benchmark.contest import (
    BenchmarkError,
    OwnContender,
    PeerContender,
    contest,
    in_own_process,
)
from caer_ros.network.spec import WeightsError, resolve_weights

PEER = """
import json, sys
shape = json.loads(sys.stdin.buffer.readline())
data = sys.stdin.buffer.read(shape[0] * shape[1] * shape[2] * shape[3])
for line in sys.stdin.buffer:
    if data[0] == 255:
        sys.exit("white is too bright")
    print(json.dumps({"seconds": [0.25] * int(line), "faces": data[-1]}), flush=True)
"""


class Written:
    """Always takes the same time, and notes the order of all calls."""

    faces = 0

    def __init__(self, name: str, seconds: float, order: list[str]) -> None:
        self.name, self.seconds, self.order = name, seconds, order

    def run(self, times: int) -> list[float]:
        self.order.append(self.name)
        return [self.seconds] * times

    def close(self) -> None: ...


def test_a_function_runs_in_a_process_of_its_own() -> None:
    assert in_own_process(os.getpid) != os.getpid()


def test_our_own_work_is_timed_once_for_every_call() -> None:
    contender = OwnContender(partial, len, "four")
    seconds = contender.run(3)
    assert contender.faces == 4
    contender.close()
    assert len(seconds) == 3
    assert all(value >= 0 for value in seconds)


def test_what_cannot_be_loaded_says_why() -> None:
    with pytest.raises(WeightsError, match="'nothing' are neither a file nor"):
        OwnContender(resolve_weights, "nothing")


def test_another_program_gets_the_frames_and_answers(tmp_path: Path) -> None:
    frames = np.zeros((2, 3, 4, 3), np.uint8)
    frames[-1, -1, -1, -1] = 7
    peer = PeerContender([sys.executable, "-c", PEER], frames, tmp_path / "log")
    assert peer.run(2) == [0.25, 0.25]
    assert peer.run(1) == [0.25]
    assert peer.faces == 7
    peer.close()


def test_another_program_that_ends_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    frames = np.full((1, 2, 2, 3), 255, np.uint8)
    peer = PeerContender([sys.executable, "-c", PEER], frames, tmp_path / "log")
    with pytest.raises(BenchmarkError, match="white is too bright"):
        peer.run(1)
    peer.close()


def test_contenders_take_turns_and_the_first_turn_does_not_count() -> None:
    order: list[str] = []
    results = contest(
        {name: Written(name, seconds, order) for name, seconds in (("a", 0.001), ("b", 0.004))},
        rounds=3,
        times=2,
    )
    assert "".join(order) == "ab" + "ababab"
    assert results["a"] == {"mean_ms": 1.0, "median_ms": 1.0, "p95_ms": 1.0}
    assert results["b"]["median_ms"] == 4.0
