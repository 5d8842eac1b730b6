# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.replay.expectations import ExpectationError, Expectations, junit
from caer_ros.replay.stream import Clock, Image
from caer_ros.types import SECOND, Emotion, Face, FrameResult, Reading

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


@pytest.fixture
def judge(steps):
    def _judge(text, results, **options):
        expectations = Expectations([("file.yaml", text)])
        for step in steps(results, **options):
            expectations.take(step)
        return expectations.verdicts()

    return _judge


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
def test_statements_are_measured_and_judged(judge, story, statement, held, measured):
    (verdict,) = judge(f"- {statement}", story)
    assert (verdict.measured, verdict.held) == (measured, held)


def test_a_person_who_never_appeared_fails_and_those_who_did_are_named(judge, story):
    (verdict,) = judge("- {label: sad, for: at most 100 %, person: p0009}", story)
    assert not verdict.held
    assert verdict.measured == "p0009 never appeared, p0001, p0002 did"


def test_statements_about_nobody_fail_where_there_is_nothing_to_measure(judge, frame):
    results = [frame(0), frame(1)]
    for statement in ("confidence: at least 0", "label_changes: at most 4"):
        (verdict,) = judge(f"- {statement}", results)
        assert (verdict.held, verdict.measured) == (False, "nothing to measure: nobody was seen")
    (verdict,) = judge("- {seen: at least 1 %}", results)
    assert (verdict.held, verdict.measured) == (False, "0 %")


def test_a_window_behind_the_end_of_the_recording_fails(judge, story):
    (verdict,) = judge("- {persons: at most 9, between: [7, 8]}", story)
    assert (verdict.held, verdict.measured) == (False, "the recording ends at 5 s, before 7 s")


def test_the_last_frame_counts(judge, frame):
    (verdict,) = judge("- {persons: at most 1}", [frame(0, a=SAD), frame(1, a=SAD, b=SAD)])
    assert verdict.measured == "1 to 2"


def test_persons_of_several_cameras_are_seen_together(judge, frame):
    results = [frame(0, "left", a=SAD), frame(0, "right", b=SAD), frame(1, "left", a=SAD)]
    (verdict,) = judge("- {persons: exactly 2, between: [0.5, end]}", results)
    assert verdict.held


def test_uneven_frames_weigh_as_long_as_they_stand(judge, frame):
    results = [frame(0, a=SAD), frame(3, a=HAPPY), frame(3.5, a=HAPPY), frame(4, a=HAPPY)]
    (verdict,) = judge("- {label: sad, for: at least 75 %}", results)
    assert verdict.measured == "75 %"


def test_dropped_frames_are_counted_inside_the_window(frame, steps):
    expectations = Expectations([("f", "- {dropped: at most 1, between: [0, 1]}")])
    for step in steps([frame(time) for time in (0, 1, 2)]):
        expectations.take(step)
        expectations.drop(step.time + SECOND // 2)
    (verdict,) = expectations.verdicts()
    assert verdict.measured == "1"
    assert verdict.text == "dropped at most 1, between 0 to 1; was 1 (f:1)"


def test_dropping_cannot_be_judged_where_nothing_is_dropped():
    with pytest.raises(ExpectationError, match="f:1: dropped: .* with --realtime only"):
        Expectations([("f", "- {dropped: at most 0}")], realtime=False)


def test_a_pause_does_not_count_as_seen(judge, frame):
    talk = [frame(i / 10, a=HAPPY) for i in range(21)]
    results = [*talk, *(frame(62 + i / 10, a=HAPPY) for i in range(21))]
    statements = "- {seen: at least 90 %}\n- {label: happy, for: at most 6 s}\n"
    seen, happy = judge(statements + "- {persons: exactly 1}", results, limit=1)[:2]
    assert (seen.held, seen.measured) == (False, "7.812 %")
    assert seen.where == ((3, 62),)
    assert (happy.held, happy.measured) == (True, "5 s")
    # nobody knows how many there were
    assert judge("- {persons: exactly 1}", results, limit=1)[0].held


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("name: alone, persons: at most 1", "alone: at most 1; was 2 from 3.0 to 5.0 s"),
        ("persons: at most 1", "persons at most 1; was 2 from 3.0 to 5.0 s"),
        ("persons: at least 1", "persons at least 1; was 0 from 0.0 to 1.0 s"),
        (
            "label: sad, for: at least 90 %",
            "label sad, for at least 90 %; was 60 %, not from 0.0 to 1.0 s and once more",
        ),
        (
            "label: happy, for: at most 1 s",
            "label happy, for at most 1 s; was 2 s, so from 3.0 to 5.0 s",
        ),
        (
            "label_changes: at most 0",
            "label_changes at most 0; was 1 (p0001, labels changed at 4.0 s)",
        ),
        ("confidence: above 0.9", "confidence above 0.9; was 0.7"),
        ("latency_p95: below 5 ms", "latency_p95 below 5 ms; was 10 ms"),
    ],
)
def test_a_verdict_says_bound_measured_and_where(judge, story, statement, told):
    (verdict,) = judge(f"- {{{statement}}}", story)
    assert verdict.text == f"{told} (file.yaml:1)"


def test_windows_that_failed_are_told_as_times(judge, story):
    (verdict,) = judge("- {persons: at most 1, between: [2, end]}", story)
    assert verdict.between == (2, None)
    assert verdict.where == ((3, 5),)
    (held,) = judge("- {persons: at most 2}", story)
    assert held.where == ()


@pytest.mark.parametrize("word", ["fear", "Scared", "FEAR", "afraid"])
def test_labels_have_synonyms_in_any_case(judge, frame, word):
    results = [frame(0, a=Emotion.FEAR), frame(1, a=Emotion.FEAR)]
    (verdict,) = judge(f"- {{label: {word}, for: exactly 100 %}}", results)
    assert verdict.held


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

    length = (times[-1] - times[0]) / 1e9
    statements = [f"- {{label: {e.label}, for: at least 0 s}}\n" for e in Emotion]
    expectations = Expectations([("f", "".join(statements) + "- {seen: at least 0 s}")])
    clock = Clock(data.draw(st.integers(0, 10**11)))
    pixels = np.zeros((3, 4, 3), np.uint8)
    for result in map(answer, times):
        expectations.take(clock.step(result, Image(result.stamp, "", pixels), 0))
    *verdicts, seen = expectations.verdicts()
    total = sum(float(verdict.measured.removesuffix(" s")) for verdict in verdicts)
    # measured values are printed with four digits
    assert total == pytest.approx(
        float(seen.measured.removesuffix(" s")), abs=0.001 * length + 1e-9
    )
    assert total <= clock.covered / 1e9 * 1.001 <= length * 1.002


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
        (
            "- label: merry\n  for: at most 1 %",
            "label: 'merry' is no label; there are anger, angry",
        ),
        ("- label: []\n  for: at most 1 %", "label: '' is no label"),
        ("...", "f.yaml:1: not YAML: expected the node content"),
        ("- &a {persons: at most 1}\n- *a", r"f.yaml:2: an alias \(\*a\)"),
        ("[" * 100, "f.yaml:1: nested deeper than 20"),
        ("- {persons: !!int x}", "f.yaml:1: "),
        ("- {between: 2001-99-99, persons: at most 1}", "f.yaml:1: month must be in"),
        ("- {? [a] : b}", "f.yaml:1: .* is no field"),
        ("- persons: at most 1\n  person: p0001", "f.yaml:2: person: does not go with persons"),
        ("- persons: at most 1\n\n  between: [6, 2]", r"f.yaml:3: between: \[6, 2\] is no window"),
        ("- persons: at most 1\n  between: 3", "f.yaml:2: between: 3 is no window"),
    ],
)
def test_errors_name_file_line_and_field(text, message):
    with pytest.raises(ExpectationError, match=message):
        Expectations([("f.yaml", text)])


def test_junit_has_a_case_for_each_statement_with_what_was_measured(judge, story):
    verdicts = judge("- {name: alone, persons: at most 1}\n- {dropped: at most 0}", story)
    root = ElementTree.fromstring(junit(verdicts, "greeting"))
    (suite,) = root
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("greeting", "2", "1")
    alone, dropped = suite
    place = alone.get("name"), alone.get("file"), alone.get("line")
    assert place == ("alone", "file.yaml", "1")
    assert "was 2 from 3.0 to 5.0 s (file.yaml:1)" in alone.find("failure").get("message")
    assert dropped.find("failure") is None


def test_junit_is_valid_xml_whatever_a_name_holds(judge, story):
    verdicts = judge('- {name: "\\e[31m\\0 & <b>", persons: at most 9}', story)
    (case,) = ElementTree.fromstring(junit(verdicts, "bag\x1b"))[0]
    assert case.get("name") == "\\x1b[31m\\x00 & <b>"
    assert case.get("classname") == "bag\\x1b"


def test_statements_of_several_files_are_judged_together(steps, story):
    files = [("a.yaml", "- persons: at most 2\n"), ("b.yaml", "- persons: at most 1\n")]
    expectations = Expectations(files)
    for step in steps(story):
        expectations.take(step)
    first, second = expectations.verdicts()
    assert (first.source, first.held) == ("a.yaml", True)
    assert second.text.endswith("(b.yaml:1)")
