# SPDX-License-Identifier: Apache-2.0
"""Which box is which face: the assignment with the least total cost.

SciPy has it too, but importing that costs the node 50 MB and a quarter of its start
(docs/performance.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def assign(cost: np.ndarray, allowed: np.ndarray, limit: float) -> list[tuple[int, int]]:
    """Return the allowed pairs (row, column) of the assignment with the least total cost.

    Args:
        cost: (N, M), where allowed not above `limit`; allowed: bool (N, M).
        limit: cost of a row or column left over, so that a good pair is not given up for two bad
            ones.
    """
    rows, columns = allowed.any(axis=1), allowed.any(axis=0)
    # two who have nobody but each other belong together; mostly that is all there is
    alone = allowed & (allowed.sum(axis=1) == 1)[:, None] & (allowed.sum(axis=0) == 1)
    pairs = [(int(row), int(column)) for row, column in np.argwhere(alone)]
    left = np.flatnonzero(rows & ~alone.any(axis=1))
    open_columns = np.flatnonzero(columns & ~alone.any(axis=0))
    if len(left):
        costs = np.where(allowed, cost, limit)[np.ix_(left, open_columns)]
        wide = len(left) <= len(open_columns)
        for i, j in enumerate(_hungarian((costs if wide else costs.T).tolist())):
            row, column = (left[i], open_columns[j]) if wide else (left[j], open_columns[i])
            if allowed[row, column]:
                pairs.append((int(row), int(column)))
    return pairs


def _hungarian(costs: Sequence[Sequence[float]]) -> list[int]:
    """Return the column of each row of a matrix that has at least as many columns as rows.

    Kuhn 1955, by shortest augmenting paths: rows are taken in one by one, each along the cheapest
    way to a free column. `of_row` and `of_column` are the prices (dual variables) that keep every
    reduced cost at 0 or above.
    """
    count = len(costs[0])
    of_row, of_column = [0.0] * len(costs), [0.0] * count
    owner: list[int | None] = [None] * count
    for first in range(len(costs)):
        distance, before = [math.inf] * count, [-1] * count
        reached: list[int] = []
        column, row, far = -1, first, 0.0
        while True:
            for j in range(count):
                way = far + costs[row][j] - of_row[row] - of_column[j]
                if j not in reached and way < distance[j]:
                    distance[j], before[j] = way, column
            column = min((j for j in range(count) if j not in reached), key=distance.__getitem__)
            far = distance[column]
            taken = owner[column]
            if taken is None:
                break
            reached.append(column)
            row = taken
        of_row[first] += far
        for j in reached:
            holder = owner[j]
            assert holder is not None  # it was reached through its row
            of_row[holder] += far - distance[j]
            of_column[j] -= far - distance[j]
        while column >= 0:
            previous = before[column]
            owner[column] = first if previous < 0 else owner[previous]
            column = previous
    found = {row: column for column, row in enumerate(owner) if row is not None}
    return [found[row] for row in range(len(costs))]
