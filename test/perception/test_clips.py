# SPDX-License-Identifier: Apache-2.0
"""Sampling by stamp, clips at 10 Hz, padding, bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.perception.clips import PERIOD, ClipBuffer, SampleClock
from caer_ros.types import SECOND

LENGTH = 16


def filled(stamps: list[int], length: int = LENGTH) -> ClipBuffer:
    """A buffer whose samples hold their own number."""
    buffer = ClipBuffer(length, 2)
    for number, stamp in enumerate(stamps):
        buffer.add(stamp)[:] = number
    return buffer


def read(buffer: ClipBuffer, length: int = LENGTH) -> tuple[list[int], int, int]:
    out = np.empty((length, 2, 2, 3), np.uint8)
    frames, duration = buffer.read(out)
    assert (out == out[:, :1, :1, :1]).all()
    return out[:, 0, 0, 0].tolist(), frames, duration


@pytest.mark.parametrize("rate", [10, 12, 15, 24, 30, 60])
def test_any_rate_of_10_hz_and_more_is_sampled_at_10_hz(rate: int) -> None:
    clock = SampleClock()
    stamps = [k * SECOND // rate for k in range(20 * rate)]
    taken = [stamp for stamp in stamps if clock.tick(stamp)]
    assert len(taken) == pytest.approx(200, abs=1)
    # each is the image nearest to its beat
    beats = np.arange(len(taken)) * PERIOD
    assert np.abs(np.array(taken) - beats).max() <= SECOND / rate / 2 + 2


@pytest.mark.parametrize("rate", [1, 5, 9])
def test_a_slower_camera_has_all_its_images_sampled(rate: int) -> None:
    clock = SampleClock()
    assert all(clock.tick(k * SECOND // rate) for k in range(50))


@given(st.lists(st.integers(-8, 8), min_size=300, max_size=300), st.sampled_from([15, 24, 30, 60]))
def test_jitter_does_not_change_the_mean_rate(jitter: list[int], rate: int) -> None:
    clock = SampleClock()
    stamps = [k * SECOND // rate + j * SECOND // 1000 // 2 for k, j in enumerate(jitter)]
    count = sum(clock.tick(stamp) for stamp in stamps)
    assert count == pytest.approx((stamps[-1] - stamps[0]) / PERIOD + 1, abs=1.5)


@given(st.lists(st.booleans(), min_size=10, max_size=200))
def test_dropped_images_never_bring_samples_closer_than_a_frame_to_the_beat(
    kept: list[bool],
) -> None:
    clock = SampleClock()
    stamps = [k * SECOND // 30 for k, keep in enumerate(kept) if keep]
    taken = [stamp for stamp in stamps if clock.tick(stamp)]
    if stamps:
        assert taken[0] == stamps[0]
        assert len(taken) <= (stamps[-1] - stamps[0]) / PERIOD + 2


def test_after_a_gap_the_beat_starts_anew() -> None:
    clock = SampleClock()
    assert clock.tick(0)
    assert clock.tick(3600 * SECOND)
    assert not clock.tick(3600 * SECOND + PERIOD // 4)
    assert clock.tick(3600 * SECOND + PERIOD)


def test_a_full_clip_is_the_last_sixteen_samples_in_order() -> None:
    numbers, frames, duration = read(filled([k * PERIOD for k in range(40)]))
    assert numbers == list(range(24, 40))
    assert frames == 16
    assert duration == 15 * PERIOD


@pytest.mark.parametrize("count", [1, 2, 15])
def test_a_short_clip_repeats_its_first_sample(count: int) -> None:
    numbers, frames, duration = read(filled([7 * SECOND + k * PERIOD for k in range(count)]))
    assert numbers == [0] * (16 - count) + list(range(count))
    assert frames == count
    assert duration == (count - 1) * PERIOD


def test_at_5_hz_every_sample_fills_two_tenths_of_a_second() -> None:
    numbers, frames, duration = read(filled([2 * k * PERIOD for k in range(30)]))
    assert numbers == [21, *np.repeat(range(22, 29), 2), 29]
    assert frames == 9
    assert duration == 16 * PERIOD


def test_a_missing_sample_is_filled_by_its_neighbour() -> None:
    stamps = [k * PERIOD for k in range(16) if k not in (5, 6)]
    numbers, frames, _ = read(filled(stamps))
    assert len(numbers) == 16
    assert sorted(numbers) == numbers
    assert frames == 14


def test_a_static_network_reads_the_newest_sample_only() -> None:
    numbers, frames, duration = read(filled([0, 5, 90], length=1), length=1)
    assert (numbers, frames, duration) == ([2], 1, 0)


@given(
    st.lists(st.integers(1, 5 * SECOND), min_size=1, max_size=60),
    st.sampled_from([1, 4, 16]),
    st.sampled_from([0, 3 * 10**18]),
)
def test_any_stamps_give_a_clip_of_nearest_samples(
    steps: list[int], length: int, start: int
) -> None:
    stamps = (start + np.cumsum(steps)).tolist()
    numbers, frames, duration = read(filled(stamps, length), length)
    assert numbers[-1] == len(stamps) - 1
    assert sorted(numbers) == numbers
    assert frames == len(set(numbers)) <= length
    assert duration == stamps[-1] - stamps[numbers[0]]
    kept = stamps[-length:]
    for back, number in enumerate(reversed(numbers)):
        time = stamps[-1] - back * PERIOD
        assert abs(stamps[number] - time) == min(abs(stamp - time) for stamp in kept)


def test_memory_stays_what_it_was() -> None:
    buffer = ClipBuffer(16, 96)
    rooms = {buffer.add(k * PERIOD).ctypes.data for k in range(100)}
    assert len(rooms) == 16
