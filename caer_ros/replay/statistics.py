"""Counts over a whole bag in memory that does not grow with its length."""

from __future__ import annotations

import math
from collections import Counter


class Latencies:
    """Durations of which percentiles are asked, exact to 0.1 ms."""

    def __init__(self) -> None:
        self._tenths: Counter[int] = Counter()

    def __bool__(self) -> bool:
        return bool(self._tenths)

    def add(self, seconds: float) -> None:
        self._tenths[round(1e4 * seconds)] += 1

    def percentile(self, percent: float) -> float:
        """Return the least duration in ms that `percent` of all do not exceed; NaN for none."""
        rank = max(1, math.ceil(percent / 100 * self._tenths.total()))
        for tenths in sorted(self._tenths):
            rank -= self._tenths[tenths]
            if rank <= 0:
                return tenths / 10
        return math.nan
