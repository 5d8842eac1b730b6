# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from functools import partial

import pytest

from caer_ros.benchmark.interleaved import CandidateProcess, in_own_process, time_interleaved
from caer_ros.network.spec import WeightsError, resolve_weights


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
    candidate = CandidateProcess(partial, len, "four")
    seconds = candidate.run(3)
    assert candidate.faces == 4
    candidate.close()
    assert len(seconds) == 3
    assert all(value >= 0 for value in seconds)


def test_what_cannot_be_loaded_says_why() -> None:
    with pytest.raises(WeightsError, match="'nothing' are neither a file nor"):
        CandidateProcess(resolve_weights, "nothing")


def test_candidates_take_turns_and_the_first_turn_does_not_count() -> None:
    order: list[str] = []
    results = time_interleaved(
        {name: Written(name, seconds, order) for name, seconds in (("a", 0.001), ("b", 0.004))},
        rounds=3,
        times=2,
    )
    assert "".join(order) == "ab" + "ababab"
    assert results["a"] == {"mean_ms": 1.0, "median_ms": 1.0, "p95_ms": 1.0}
    assert results["b"]["median_ms"] == 4.0
