# SPDX-License-Identifier: Apache-2.0
"""What the diagnostics say of counted images."""

import math

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from caer_ros.ros import counts
from caer_ros.ros.counts import LOG_PERIOD, SILENCE, Statistics
from caer_ros.types import SECOND, Emotion, Face, FrameResult, Reading


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose only item is the steady time in seconds."""
    now = [1000.0]
    monkeypatch.setattr(counts.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def statistics(clock, log):
    return Statistics(["/left", "/right"], log)


def result(camera="/left", stamp=50 * SECOND, persons=0, reset=False):
    somebody = Reading("p1", Face(0, 0, 9, 9), Emotion.SAD, 1.0, (0,) * 7, 1, 0, 1, 0, 0)
    return FrameResult(camera, stamp, 64, 48, (somebody,) * persons, reset)


def answer(statistics, result, latency=0.0, handling=0.0):
    statistics.processed(result, "eye", latency, handling)


def report(statistics, now=51 * SECOND):
    values, statuses = statistics.report(now)
    return values, {s.name: s for s in statuses}


def values_of(status):
    return {pair.key: pair.value for pair in status.values}


def test_rates_are_of_the_time_since_the_last_report(statistics, clock):
    for _ in range(20):
        statistics.received("/left")
    clock[0] += 2
    assert report(statistics)[0]["input rate (Hz)"] == "10.0"

    statistics.received("/left")
    statistics.dropped("/left")
    answer(statistics, result(), 0.1, 0.1)
    clock[0] += 1
    values, cameras = report(statistics)

    assert (values["input rate (Hz)"], values["processed rate (Hz)"]) == ("1.0", "1.0")
    assert (values["received"], values["processed"], values["dropped"]) == (21, 1, 1)
    assert values_of(cameras["/left"])["received"] == "21"
    assert values_of(cameras["/right"])["received"] == "0"


def test_latencies_are_percentiles_in_milliseconds(statistics):
    for number in range(1, 101):
        answer(statistics, result(), latency=number / 1000, handling=number / 2000)

    values, _ = report(statistics)

    assert values["latency p50 (ms)"] == "50.5"
    assert float(values["latency p95 (ms)"]) == pytest.approx(95.05, abs=0.06)
    assert float(values["handling p50 (ms)"]) == pytest.approx(25.25, abs=0.06)


def test_ages_come_from_stamps_and_persons_are_summed_over_cameras(statistics):
    answer(statistics, result("/left", 50 * SECOND, persons=2), 0, 0)
    answer(statistics, result("/right", 48 * SECOND, persons=1), 0, 0)

    values, cameras = report(statistics, now=51 * SECOND)

    assert values["persons"] == 3
    assert values_of(cameras["/left"])["age of last image (s)"] == "1.000"
    assert values_of(cameras["/right"])["age of last image (s)"] == "3.000"
    assert values["age of last image (s)"] == "1.000"


def test_what_cannot_be_known_before_simulated_time_begins_spoils_nothing(statistics):
    answer(statistics, result(stamp=50 * SECOND), latency=math.nan, handling=0.01)
    values, cameras = report(statistics, now=0)
    assert values["latency p50 (ms)"] == values["age of last image (s)"] == "nan"
    assert values_of(cameras["/left"])["age of last image (s)"] == "nan"
    assert values["handling p50 (ms)"] == "10.0"

    answer(statistics, result(stamp=51 * SECOND), latency=0.02, handling=0.01)
    assert report(statistics)[0]["latency p50 (ms)"] == "20.0"


def test_before_the_first_image_nothing_is_invented(statistics):
    values, cameras = report(statistics)

    assert math.isnan(float(values["latency p50 (ms)"]))
    assert math.isnan(float(values["age of last image (s)"]))
    assert cameras["/left"].level == DiagnosticStatus.OK


def test_a_silent_camera_is_stale_until_it_speaks(statistics, clock):
    clock[0] += SILENCE + 1
    statistics.received("/left")

    _, cameras = report(statistics)

    assert cameras["/left"].level == DiagnosticStatus.OK
    assert cameras["/right"].level == DiagnosticStatus.STALE
    assert cameras["/right"].message == "no image for 4 s"
    assert statistics.silent(SILENCE) == ["/right"]
    _, (_, right) = statistics.report(0, {"/right": "nobody publishes it"})
    assert right.message == "no image for 4 s: nobody publishes it"
    statistics.listening()
    assert report(statistics)[1]["/right"].level == DiagnosticStatus.OK


def test_errors_are_counted_by_cause_and_fade_from_the_level_but_not_from_the_counts(statistics):
    statistics.failed("/left", "step", "image step 5 is below 6")
    _, cameras = report(statistics)
    assert cameras["/left"].level == DiagnosticStatus.ERROR
    assert cameras["/left"].message == "image step 5 is below 6"

    statistics.failed("/left", "encoding", "what is rgb9")
    answer(statistics, result(), 0, 0)
    _, cameras = report(statistics)
    assert cameras["/left"].level == DiagnosticStatus.WARN

    values, cameras = report(statistics)
    assert cameras["/left"].level == DiagnosticStatus.OK
    assert (values["errors: step"], values["errors: encoding"], values["errors"]) == (1, 1, 2)
    assert values["last error"] == "/left: what is rgb9"


def test_a_cause_is_logged_once_in_a_while_with_how_many_were_held_back(statistics, clock, log):
    for _ in range(100):
        statistics.failed("/left", "step", "too small")
    statistics.failed("/right", "step", "too small")
    statistics.doubted("/left", "crowd", "too many")
    clock[0] += LOG_PERIOD
    statistics.failed("/left", "step", "too small")

    assert log.errors == [
        "/left: too small",
        "/right: too small",
        "/left: too small (99 more since the last)",
    ]
    assert log.warnings == ["/left: too many"]


def test_what_is_doubted_is_no_error(statistics):
    statistics.doubted("/left", "crowd", "too many")
    answer(statistics, result())

    values, cameras = report(statistics)

    assert (values["errors"], values["warnings"], values["warnings: crowd"]) == (0, 1, 1)
    assert cameras["/left"].level == DiagnosticStatus.WARN
    assert cameras["/left"].message == "too many"


def test_who_is_forgotten_is_no_person_any_more(statistics):
    answer(statistics, result("/left", persons=2))
    answer(statistics, result("/right", persons=1))

    statistics.forget("/left")

    assert report(statistics)[0]["persons"] == 1


def test_strings_from_the_wire_are_cut_and_escaped(statistics, log):
    statistics.failed("/left", "encoding", "encoding '" + "A" * 5_000_000 + "'")
    statistics.failed("/left", "step", "\x1b[2J\nstep")
    statistics.processed(result(), "eye\x07" * 100_000, 0.0, 0.0)

    values, cameras = report(statistics)

    assert all(len(line) < 500 for line in log.errors)
    assert "(5000011 characters)" in log.errors[0]
    assert log.errors[1] == r"/left: \x1b[2J\nstep"
    assert len(str(values)) + len(str(cameras["/left"])) < 5000
    assert "\x07" not in values_of(cameras["/left"])["frame_id"]


def test_resets_are_counted(statistics):
    answer(statistics, result(reset=True), 0, 0)

    assert report(statistics)[0]["stamp resets"] == 1
