# SPDX-License-Identifier: Apache-2.0
"""The assignment of boxes to faces, against trying everything."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations, permutations

import numpy as np
import pytest

from caer_ros.perception.assignment import assign


def gain(pairs: list[tuple[int, int]], cost: np.ndarray, limit: float) -> float:
    """Return what pairs save against leaving everybody alone."""
    return sum(limit - cost[pair] for pair in pairs)


def best_gain(cost: np.ndarray, allowed: np.ndarray, limit: float) -> float:
    if len(cost) > cost.shape[1]:
        cost, allowed = cost.T, allowed.T
    worth = np.where(allowed, limit - cost, 0.0)
    rows = range(len(cost))
    return max(worth[rows, list(p)].sum() for p in permutations(range(cost.shape[1]), len(cost)))


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 3), (5, 5), (6, 6)])
@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_no_assignment_is_better(shape: tuple[int, int], share: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        # few values, so that there are ties
        cost = rng.integers(0, 10, shape) / 10
        allowed = rng.random(shape) < share
        pairs = assign(cost, allowed, 1.0)
        assert all(allowed[pair] for pair in pairs)
        assert all(a[0] != b[0] and a[1] != b[1] for a, b in combinations(pairs, 2))
        assert gain(pairs, cost, 1.0) == pytest.approx(best_gain(cost, allowed, 1.0))


def test_two_bad_pairs_are_not_made_of_a_good_one() -> None:
    cost = np.array([[0.1, 0.9], [0.9, 1.0]])
    allowed = np.array([[True, True], [True, False]])
    assert assign(cost, allowed, 1.0) == [(0, 0)]


def test_nobody_is_assigned_to_nobody() -> None:
    nothing = np.zeros((3, 2))
    assert assign(nothing, nothing > 0, 1.0) == []


def test_the_pipeline_does_without_scipy() -> None:
    code = "import sys, caer_ros.perception.pipeline; assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
