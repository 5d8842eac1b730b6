# SPDX-License-Identifier: Apache-2.0
"""Ids that stay, by stamps; birth, death, prediction, assignment."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.perception.tracker import PersonTracker, TrackerSettings, _assign, _start, person_ids
from caer_ros.settings import SettingError
from caer_ros.types import SECOND, Face, Person

Path = Callable[[float], tuple[float, float]]


def square(x: float, y: float, size: float = 60.0, score: float = 0.9) -> Face:
    """A face whose middle is at (x, y)."""
    return Face(x - size / 2, y - size / 2, x + size / 2, y + size / 2, score)


def tracker(**settings: float) -> PersonTracker:
    return PersonTracker(TrackerSettings(**settings), person_ids("p"))


def follow(
    paths: list[Path], rate: float, seconds: float, tracker: PersonTracker
) -> list[list[Person]]:
    """Let faces move along `paths` (seconds to pixels) and track them."""
    return [
        tracker.update([square(*path(k / rate)) for path in paths], round(k / rate * SECOND))
        for k in range(int(seconds * rate) + 1)
    ]


def middle(person: Person) -> tuple[float, float]:
    return (person.face.x1 + person.face.x2) / 2, (person.face.y1 + person.face.y2) / 2


@pytest.mark.parametrize("rate", [5, 10, 15, 24, 30, 60])
def test_a_walking_person_keeps_one_id_at_any_rate(rate: float) -> None:
    # 1.4 m/s past the camera: nine widths of a 0.15 m face a second
    seen = follow([lambda t: (100 + 560 * t, 200)], rate, 3, tracker())
    ids = {person.person_id for persons in seen for person in persons}
    assert ids == {"p0001"}
    assert len(seen[-1]) == 1


@pytest.mark.parametrize("rate", [10, 30])
def test_two_who_pass_each_other_keep_their_ids(rate: float) -> None:
    seen = follow(
        [lambda t: (100 + 200 * t, 200), lambda t: (500 - 200 * t, 230)], rate, 2, tracker()
    )
    first, last = seen[rate // 2], seen[-1]
    assert [p.person_id for p in first] == [p.person_id for p in last] == ["p0001", "p0002"]
    assert middle(first[0])[0] < middle(first[1])[0]
    assert middle(last[0])[0] > middle(last[1])[0]


def test_a_face_is_a_person_after_the_birth_time_only() -> None:
    seen = follow([lambda t: (100, 100)], 20, 0.5, tracker(birth=0.2))
    assert [len(persons) for persons in seen] == [0] * 4 + [1] * 7


def test_without_a_birth_time_the_first_image_has_persons() -> None:
    assert [p.person_id for p in tracker(birth=0.0).update([square(50, 50)], 0)] == ["p0001"]


def test_a_face_missed_on_trial_starts_over() -> None:
    track = tracker(birth=0.2)
    for k, faces in enumerate(
        [[square(9, 9)], [square(9, 9)], [], [square(9, 9)], [square(9, 9)]]
    ):
        assert track.update(faces, k * SECOND // 10) == []


def test_a_face_that_is_sure_is_not_looked_at() -> None:
    def look(face: Face) -> float:
        raise AssertionError(face)

    assert tracker(birth=0.0).update([square(100, 100, score=0.7)], 0, look)


@pytest.mark.parametrize("rate", [5, 10, 30])
def test_a_doubtful_face_is_looked_at_closely_twice_a_second_until_it_is_sure(rate: int) -> None:
    track = tracker(birth=0.2)
    looks: list[int] = []
    stamp = 0

    def look(face: Face) -> float:
        looks.append(stamp)
        return 0.69 if len(looks) < 4 else 0.7

    for k in range(3 * rate):
        stamp = k * SECOND // rate
        persons = track.update([square(100, 100, score=0.5)], stamp, look)
        assert bool(persons) == (len(looks) == 4)
    assert looks[0] == SECOND // 5
    for before, after in itertools.pairwise(looks):
        assert SECOND // 2 <= after - before < SECOND // 2 + SECOND // rate


def test_a_person_whose_face_is_not_found_goes_on_as_predicted_and_dies_by_time() -> None:
    track = tracker(death=0.5)
    seen = follow([lambda t: (100 + 100 * t, 100)], 20, 1, track)
    assert seen[-1][0].detected
    for k in range(1, 11):
        (person,) = track.update([], SECOND + k * SECOND // 20)
        assert not person.detected
        assert person.person_id == "p0001"
        # on at 100 pixels a second, which fade
        assert middle(person)[0] == pytest.approx(200 + 100 * (1 - np.exp(-k / 20)), abs=3)
    assert track.update([], SECOND + 11 * SECOND // 20) == []


@pytest.mark.parametrize("growth", [8.0, -8.0])
def test_a_face_that_is_lost_while_it_grows_or_shrinks_keeps_its_size(growth: float) -> None:
    track = tracker(birth=0.0, death=2.0)
    for k in range(3):
        track.update([square(200, 200, size=60 + growth * (k - 1))], k * SECOND // 10)
    for k in range(3, 20):
        (person,) = track.update([], k * SECOND // 10)
        assert person.face.width == pytest.approx(60 + growth, abs=3)


@pytest.mark.parametrize("rate", [5, 10, 15, 30])
@pytest.mark.parametrize("hidden", [0.3, 0.5, 0.8])
def test_who_walks_and_is_not_found_for_a_while_is_one_person(rate: int, hidden: float) -> None:
    # 250 pixels a second, four faces; last found half at the edge of what hides it
    track = tracker()
    ids = set()
    for k in range(3 * rate):
        t = k / rate
        face = square(100 + 250 * t, 200)
        if 1.0 < t <= 1.0 + hidden:
            faces = []
        elif 0.9 < t <= 1.0:
            faces = [Face(face.x1, face.y1 + 10, face.x2 - 25, face.y2 - 5)]
        else:
            faces = [face]
        ids |= {person.person_id for person in track.update(faces, round(t * SECOND))}
    assert ids == {"p0001"}


@pytest.mark.parametrize("small", [33, 40])
def test_a_small_find_at_a_head_that_turns_away_is_not_the_face(small: int) -> None:
    # what BlazeFace finds in the scene "turns away" at 15 Hz: left, top and edge, then nothing
    finds = [*[(278, 184, 79)] * 15, (268, 187, 60), (286, 151, small)]
    track = tracker()
    for k, (x, y, edge) in enumerate(finds):
        (*_, person) = track.update([Face(x, y, x + edge, y + edge)], k * SECOND // 15) or [None]
    assert person is not None
    assert person.person_id == "p0001"
    assert person.face.width == pytest.approx(66, abs=3)
    assert not person.detected


@pytest.mark.parametrize("rate", [10, 15, 30])
def test_who_comes_out_from_behind_a_pillar_little_by_little_is_one_person(rate: int) -> None:
    # too small at first to be the lost one; grown by the time at which it would be a person
    track = tracker()
    ids = set()
    for k in range(2 * rate):
        t = k / rate
        size = 60 if t < 0.5 else min(30 + 250 * (t - 0.8), 60)
        faces = [] if 0.5 <= t < 0.8 else [square(100 + 150 * t, 100, size)]
        ids |= {person.person_id for person in track.update(faces, k * SECOND // rate)}
    assert ids == {"p0001"}


def test_at_the_most_persons_one_who_was_lost_is_taken_back() -> None:
    track = tracker(max_persons=1, birth=0.2)
    for k in range(5):
        track.update([square(100, 100)], k * SECOND // 10)
    for k, size in enumerate((30, 40, 60), 6):
        (person,) = track.update([square(190, 100, size)], k * SECOND // 10)
    assert person.person_id == "p0001"
    assert person.detected


def test_who_comes_back_in_time_has_the_same_id_and_later_a_new_one() -> None:
    track = tracker(birth=0.0, death=1.0)
    track.update([square(100, 100)], 0)
    assert [p.person_id for p in track.update([square(110, 100)], SECOND)] == ["p0001"]
    assert [p.person_id for p in track.update([square(110, 100)], 3 * SECOND)] == ["p0002"]


def test_an_hour_later_everybody_is_gone() -> None:
    track = tracker(birth=0.0)
    track.update([square(100, 100)], 0)
    assert track.predict(3600 * SECOND) == []
    assert track.update([], 3600 * SECOND) == []


def test_between_detections_boxes_move_on() -> None:
    track = tracker()
    follow([lambda t: (100 + 300 * t, 100 - 60 * t)], 30, 1, track)
    (person,) = track.predict(SECOND + SECOND // 10)
    assert person.detected  # when it was looked for last
    assert middle(person) == pytest.approx((430, 34), abs=4)


def test_who_is_found_and_keeps_still_is_calm() -> None:
    track = tracker()
    assert track.calm
    track.update([square(100, 100)], 0)
    assert not track.calm  # on trial
    follow([lambda _: (100, 100)], 30, 1, track)
    assert track.calm
    track.update([], SECOND + SECOND // 30)
    assert not track.calm
    walking = tracker()
    follow([lambda t: (100 + 100 * t, 100)], 30, 1, walking)
    assert not walking.calm


def test_a_newcomer_beside_a_lost_person_does_not_shift_the_one_who_is_found() -> None:
    track = tracker(birth=0.0)
    track.update([square(100, 100), square(200, 100)], 0)
    # the left one is hidden, and somebody appears to the right of the other
    persons = track.update([square(202, 100), square(300, 100)], SECOND // 10)
    places = {p.person_id: middle(p)[0] for p in persons if p.detected}
    assert places == {"p0002": pytest.approx(202, abs=2), "p0003": pytest.approx(300)}


def test_a_certain_pair_is_not_given_up_for_two_doubtful_ones() -> None:
    track = tracker(birth=0.0)
    track.update([square(100, 100), square(130, 100)], 0)
    # the left one is hidden, the other stands still, somebody appears half a width to the right
    persons = track.update([square(130, 100), square(160, 100)], SECOND // 30)
    places = {p.person_id: middle(p)[0] for p in persons if p.detected}
    assert places == {"p0002": pytest.approx(130), "p0003": pytest.approx(160)}


def test_a_person_who_is_found_takes_no_second_face() -> None:
    track = tracker(birth=0.0)
    track.update([square(100, 100)], 0)
    # the nearer face is too small to overlap enough
    persons = track.update([square(120, 100), square(100, 100, size=31)], SECOND // 30)
    assert [p.person_id for p in persons] == ["p0001", "p0002"]
    assert middle(persons[0])[0] == pytest.approx(120, abs=3)


def test_a_sudden_turn_is_followed() -> None:
    seen = follow([lambda t: (300 - abs(1 - t) * 300, 100)], 30, 1.5, tracker())
    assert {p.person_id for persons in seen for p in persons} == {"p0001"}
    assert middle(seen[30][0])[0] == pytest.approx(300, abs=10)
    for k in range(33, 46):
        assert middle(seen[k][0])[0] == pytest.approx(300 - 10 * (k - 30), abs=10)


def test_a_jump_beyond_reach_or_to_another_size_is_another_person() -> None:
    track = tracker(birth=0.0)
    track.update([square(100, 100)], 0)
    persons = track.update([square(400, 100)], SECOND // 30)
    assert [p.person_id for p in persons if p.detected] == ["p0002"]
    persons = track.update([square(110, 100, size=250)], SECOND // 10)
    assert [p.person_id for p in persons if p.detected] == ["p0003"]


def test_no_more_persons_than_allowed_and_a_free_place_is_taken() -> None:
    track = tracker(birth=0.0, death=0.1, max_persons=2)
    crowd = [square(100 * k, 100) for k in range(1, 61)]
    assert [p.person_id for p in track.update(crowd, 0)] == ["p0001", "p0002"]
    for k in range(1, 4):
        persons = track.update(crowd[1:], k * SECOND // 15)
    assert [p.person_id for p in persons] == ["p0002", "p0003"]
    assert middle(persons[1])[0] == pytest.approx(300, abs=1)


def test_of_those_who_wait_the_largest_face_gets_the_free_place() -> None:
    track = tracker(birth=0.0, death=0.1, max_persons=1)
    track.update([square(100, 100)], 0)
    small, large = square(300, 100, size=40), square(500, 100, size=80)
    track.update([square(100, 100), small], SECOND // 15)
    for k in range(2, 5):
        persons = track.update([large, small], k * SECOND // 15)
    assert [p.person_id for p in persons] == ["p0002"]
    assert middle(persons[0])[0] == pytest.approx(500, abs=1)


def test_cameras_share_one_counter() -> None:
    ids = person_ids("p")
    left, right = (PersonTracker(TrackerSettings(birth=0.0), ids) for _ in range(2))
    assert left.update([square(50, 50)], 0)[0].person_id == "p0001"
    assert right.update([square(50, 50)], 0)[0].person_id == "p0002"


def test_more_than_9999_persons_stay_in_order() -> None:
    track = PersonTracker(
        TrackerSettings(birth=0.0), itertools.islice(person_ids("p"), 9998, None)
    )
    persons = track.update([square(100, 100), square(300, 100)], 0)
    assert [p.person_id for p in persons] == ["p9999", "p10000"]


@given(st.floats(0.001, 1), st.floats(0.001, 1))
def test_predicting_in_two_steps_is_predicting_in_one(first: float, second: float) -> None:
    one, two = _start(square(100, 100), 0), _start(square(100, 100), 0)
    for track in (one, two):
        track.middle[:, 1] = 30, -20
    one.predict(first + second)
    two.predict(first)
    two.predict(second)
    np.testing.assert_allclose(one.middle, two.middle, rtol=1e-9)
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-9)
    assert one.size_variance == pytest.approx(two.size_variance)


@given(
    st.lists(
        st.tuples(
            st.lists(
                st.tuples(st.floats(-200, 900), st.floats(-200, 700), st.floats(1, 400)),
                max_size=6,
            ),
            st.integers(0, 2 * SECOND),
            st.booleans(),
        ),
        max_size=15,
    )
)
def test_whatever_is_found_ids_are_unique_bounded_and_never_come_back(
    images: list[tuple[list[tuple[float, float, float]], int, bool]],
) -> None:
    settings = TrackerSettings(birth=0.05, max_persons=4)
    track = PersonTracker(settings, person_ids("p"))
    gone: set[str] = set()
    found: set[str] = set()
    before: set[str] = set()
    stamp = 0
    for faces, step, detect in images:
        stamp += step
        boxes = [square(*face) for face in faces]
        persons = track.update(boxes, stamp) if detect else track.predict(stamp)
        if detect:
            found = {p.person_id for p in persons if p.detected}
        ids = [p.person_id for p in persons]
        assert len(set(ids)) == len(ids) <= settings.max_persons
        assert ids == sorted(ids)
        assert not gone & set(ids)
        for person in persons:
            assert person.stamp == stamp
            assert person.face.width >= 0.99
            assert np.isfinite([person.face.x1, person.face.y2]).all()
            # nobody detected who was not when the detector ran last
            assert person.detected == (person.person_id in found)
        gone |= before - set(ids)
        before = set(ids)


def test_ids_of_two_runs_differ_and_can_stand_in_a_topic_name() -> None:
    one, other = (next(person_ids("")) for _ in range(2))
    assert one != other
    assert re.fullmatch("[a-z]{5}0001", one)


@pytest.mark.parametrize("prefix", ["p1", "head/", "ä", "-", "a" * 17])
def test_a_prefix_that_no_topic_name_may_begin_with_is_refused(prefix: str) -> None:
    with pytest.raises(SettingError, match=r"tracker\.id_prefix is .* expected up to 16 letters"):
        TrackerSettings(id_prefix=prefix)


def named(person_id: str, x: float, y: float = 100.0) -> Face:
    return Face(*(x - 30, y - 30, x + 30, y + 30), 0.9, person_id=person_id)


def test_a_face_that_names_its_person_is_that_person_at_once_wherever_it_is() -> None:
    t = tracker(birth=1.0)

    assert [p.person_id for p in t.update([named("anna", 100)], 0)] == ["anna"]
    # two swap places from one image to the next
    t.update([named("anna", 100), named("bert", 500)], SECOND // 10)
    seen = t.update([named("bert", 100), named("anna", 500)], SECOND // 5)

    # the filter takes in most of a jump, not all
    places = {p.person_id: middle(p)[0] for p in seen}
    assert places["bert"] < 200 < 400 < places["anna"]


def test_one_who_is_named_takes_nobody_elses_track_and_stays_for_a_while_unseen() -> None:
    t = tracker(death=1.0)
    t.update([named("anna", 100)], 0)

    seen = t.update([named("bert", 100)], SECOND // 2)
    assert {p.person_id: p.detected for p in seen} == {"anna": False, "bert": True}
    assert [p.person_id for p in t.update([named("bert", 100)], 2 * SECOND)] == ["bert"]


def test_those_without_a_name_beside_are_followed_as_ever() -> None:
    t = tracker(birth=0.1)
    for k in range(5):
        seen = t.update([named("anna", 100), square(500, 100)], k * SECOND // 10)

    assert [p.person_id for p in seen] == ["anna", "p0001"]


def test_names_count_among_the_most_persons() -> None:
    t = tracker(max_persons=2)

    seen = t.update([named(name, 100 * k) for k, name in enumerate("abc", 1)], 0)

    assert len(seen) == 2


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 3), (5, 5)])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_no_assignment_costs_less(shape: tuple[int, int], share: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        # few values, so that there are ties
        cost, allowed = rng.integers(0, 10, shape) / 10, rng.random(shape) < share
        pairs = _assign(cost, allowed, limit=1.0)
        assert all(allowed[pair] for pair in pairs)
        assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
        worth = np.where(allowed, 1.0 - cost, 0.0)
        if len(worth) > worth.shape[1]:
            worth = worth.T
        rows = range(len(worth))
        best = max(
            worth[rows, p].sum() for p in itertools.permutations(range(worth.shape[1]), len(worth))
        )
        assert sum(1.0 - cost[pair] for pair in pairs) == pytest.approx(best)


def test_the_pipeline_does_without_scipy() -> None:
    """It would cost a node 50 MB and a fifth of its start."""
    code = "import sys, caer_ros.perception.pipeline; assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
