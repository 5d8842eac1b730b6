# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.replay.expectations import ExpectationError, Expectations, junit
from caer_ros.types import Emotion, Face, FrameResult, Reading

HAPPY, SAD = Emotion.HAPPY, Emotion.SAD


@pytest.fixture
def story(frame):
    """10 Hz: nobody until 1 s, p0001 sad until 4 s, then happy until 5 s, p0002 from 3 s on."""
    results = []
    for tenth in range(51):
        time, persons = tenth / 10, {}
        if time >= 1:
            persons["p0001"] = SAD if time < 4 else HAPPY
        if time >= 3:
            persons["p0002"] = HAPPY
        results.append(frame(time, **persons))
    return results


def judge(text, results, latency=0.01):
    expectations = Expectations(text, "file.yaml")
    for result in results:
        expectations.answer(result, latency)
    return expectations.verdicts()


@pytest.mark.parametrize(
    ("statement", "held", "measured"),
    [
        ("{label: sad, for: at least 60 %}", True, "60 %"),
        ("{label: sad, for: above 60 %}", False, "60 %"),
        ("{label: sad, for: exactly 3 s}", True, "3 s"),
        ("{label: sad, for: at least 100 %, between: [2, 4]}", True, "100 %"),
        ("{label: sad, for: at least 100 %, between: [2, 4], person: every}", False, "50 %"),
        ("{label: [sad, happy], for: at least 100 %, between: [1, end]}", True, "100 %"),
        ("{label: happy, for: at most 10 %, person: p0001}", False, "20 %"),
        ("{seen: at least 95 %, between: [1, end]}", True, "100 %"),
        ("{seen: below 1 s, between: [0, 1]}", True, "0 s"),
        ("{persons: at most 1}", False, "0 to 2"),
        ("{persons: at most 1, between: [0, 2.9]}", True, "0 to 1"),
        ("{persons: exactly 2, between: [3, end]}", True, "2"),
        ("{label_changes: at most 1}", True, "1"),
        ("{label_changes: below 1, person: p0001}", False, "1"),
        ("{label_changes: at most 0, person: p0002}", True, "0"),
        ("{label_changes: at most 0, person: p0001, between: [1, 3]}", True, "0"),
        ("{confidence: at least 0.5}", True, "0.7"),
        ("{context_weight: below 0.2}", False, "0.25"),
        ("{latency_p95: below 50 ms}", True, "10 ms"),
        ("{latency_p99: below 5 ms}", False, "10 ms"),
        ("{dropped: at most 0}", True, "0"),
    ],
)
def test_statements_are_measured_and_judged(story, statement, held, measured):
    (verdict,) = judge(f"- {statement}", story)
    assert (verdict.measured, verdict.held) == (measured, held)


def test_a_person_who_never_appeared_fails_and_those_who_did_are_named(story):
    (verdict,) = judge("- {label: sad, for: at most 100 %, person: p0009}", story)
    assert not verdict.held
    assert verdict.measured == "p0009 never appeared, p0001, p0002 did"


def test_statements_about_nobody_fail_where_there_is_nothing_to_measure(frame):
    results = [frame(0), frame(1)]
    for statement in ("confidence: at least 0", "label_changes: at most 4"):
        (verdict,) = judge(f"- {statement}", results)
        assert (verdict.held, verdict.measured) == (False, "nothing to measure: nobody was seen")
    (verdict,) = judge("- {seen: at least 1 %}", results)
    assert (verdict.held, verdict.measured) == (False, "0 %")


def test_a_window_behind_the_end_of_the_recording_fails(story):
    (verdict,) = judge("- {persons: at most 9, between: [7, 8]}", story)
    assert (verdict.held, verdict.measured) == (False, "the recording ends at 5 s, before 7 s")


def test_the_last_frame_counts(frame):
    (verdict,) = judge("- {persons: at most 1}", [frame(0, a=SAD), frame(1, a=SAD, b=SAD)])
    assert verdict.measured == "1 to 2"


def test_persons_of_several_cameras_are_seen_together(frame):
    results = [frame(0, "left", a=SAD), frame(0, "right", b=SAD), frame(1, "left", a=SAD)]
    (verdict,) = judge("- {persons: exactly 2, between: [0.5, end]}", results)
    assert verdict.held


def test_uneven_frames_weigh_as_long_as_they_stand(frame):
    results = [frame(0, a=SAD), frame(3, a=HAPPY), frame(3.5, a=HAPPY), frame(4, a=HAPPY)]
    (verdict,) = judge("- {label: sad, for: at least 75 %}", results)
    assert verdict.measured == "75 %"


def test_stamps_that_jump_back_do_not_run_time_backwards(frame):
    results = [frame(0, a=SAD), frame(2, a=SAD), frame(1, a=HAPPY), frame(3, a=HAPPY)]
    (verdict,) = judge("- {label: sad, for: exactly 2 s}", results)
    assert verdict.held


def test_dropped_frames_are_counted_inside_the_window(frame):
    expectations = Expectations("- {dropped: at most 1, between: [0, 1]}", "f")
    for time in (0, 1, 2):
        expectations.answer(frame(time), 0.01)
        expectations.drop(frame(time + 0.5).stamp)
    assert expectations.verdicts()[0].measured == "1"


times = st.lists(st.integers(0, 10**11), min_size=2, max_size=30, unique=True).map(sorted)


@given(times, st.data())
def test_shares_of_all_labels_and_of_nobody_make_up_the_whole(times, data):
    def answer(time):
        emotion = data.draw(st.none() | st.sampled_from(Emotion))
        face = Face(0, 0, 1, 1)
        readings = () if emotion is None else (
            Reading("a", face, emotion, 1.0, (0.0,) * 7, 1.0, 0.0, 1, 0, 0),
        )  # fmt: skip
        return FrameResult("c", time, 4, 3, readings)

    results = [answer(time) for time in times]
    length = (results[-1].stamp - results[0].stamp) / 1e9
    statements = [f"- {{label: {e.label}, for: at least 0 s}}\n" for e in Emotion]
    verdicts = judge("".join(statements), results)
    (seen,) = judge("- {seen: at least 0 s}", results)
    total = sum(float(verdict.measured.removesuffix(" s")) for verdict in verdicts)
    # measured values are printed with four digits
    assert total == pytest.approx(
        float(seen.measured.removesuffix(" s")), abs=0.001 * length + 1e-9
    )
    assert total <= length * 1.001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: expected a list of statements"),
        ("a: 1", "f.yaml: expected a list of statements"),
        ("- {persons: at most 1}\n- a: [", "f.yaml:2: "),
        ("- 5", "f.yaml:1: expected fields such as"),
        ("- {}", "f.yaml:1: expected exactly one of label, .* found none"),
        ("- persons: at most 1\n  dropped: at most 1", "f.yaml:1: .* found persons and dropped"),
        ("- persons: at most 1\n  Person: any", "f.yaml:2: Person: is no field; there are name"),
        ("- persons: at most 1\n  persons: at most 1", "f.yaml:2: persons: is given twice"),
        ("- persons: 1", "f.yaml:1: persons: 1 is no bound; expected at least"),
        ("- persons: at most 1 %", "f.yaml:1: persons: 'at most 1 %' is no bound"),
        ("- seen: at most 1", "seen: 'at most 1' is no bound; .* a number and % or s"),
        ("- label: sad", "f.yaml:1: label: needs a field `for`"),
        ("- seen: at most 1 %\n  for: at most 1 %", "f.yaml:2: for: belongs to label"),
        ("- label: merry\n  for: at most 1 %", "label: 'merry' is no label; there are angry"),
        ("- label: []\n  for: at most 1 %", "label: '' is no label"),
        ("- persons: at most 1\n  person: p0001", "f.yaml:2: person: does not go with persons"),
        ("- persons: at most 1\n\n  between: [6, 2]", r"f.yaml:3: between: \[6, 2\] is no window"),
        ("- persons: at most 1\n  between: 3", "f.yaml:2: between: 3 is no window"),
    ],
)
def test_errors_name_file_line_and_field(text, message):
    with pytest.raises(ExpectationError, match=message):
        Expectations(text, "f.yaml")


def test_junit_has_a_case_for_each_statement_with_what_was_measured(story):
    verdicts = judge("- {name: alone, persons: at most 1}\n- {dropped: at most 0}", story)
    root = ElementTree.fromstring(junit(verdicts, "greeting", "e.yaml"))
    (suite,) = root
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("greeting", "2", "1")
    alone, dropped = suite
    assert (alone.get("name"), alone.get("line")) == ("alone", "1")
    assert alone.find("failure").get("message") == "measured: 0 to 2"
    assert dropped.find("failure") is None
