# SPDX-License-Identifier: Apache-2.0
"""Faces of successive images become persons (SORT, Bewley et al. 2016, by stamps).

Everything is in seconds, not in images, so that a person is the same at 5 Hz, at 60 Hz and with
dropped images.
"""

from __future__ import annotations

import itertools
import math
import re
import secrets
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
from lap import lapjv

from caer_ros.perception.boxes import corners, iou
from caer_ros.settings import SettingError, setting
from caer_ros.types import SECOND, Face, Person

MIN_IOU = 0.3
"""A face that overlaps a predicted box by less is not the same for that reason alone (SORT)."""

MAX_GROWTH = 1.6
"""How much larger or smaller a face is at most that may be a lost one; a find in hair or a collar
is about half of it."""

SPEED_MEMORY = 1.0
"""Seconds in which the speed of a face that is not found falls to 37 %."""

CALM_SPEED = 1.0
"""Lengths of a face a second; who is slower is where the prediction says, an image later."""

TRY_AGAIN = SECOND // 2
"""Time after which a face that was no person yet is asked about again."""

Look = Callable[[Face], float]
"""From a face that was found to its score, 0 to 1, when it is looked at closely."""

# In units of the face: edges, edges a second, edges^2 a second^3, edges^2 a second.
MEASUREMENT_DEVIATION = 0.05
INITIAL_SPEED_DEVIATION = 4.0
ACCELERATION_DENSITY = 10.0
SIZE_DENSITY = 0.05
"""Slow, because half a face at the edge of a pillar is not one that shrinks."""


@dataclass(frozen=True)
class TrackerSettings:
    """When a face becomes a person, and when the person is gone."""

    birth: float = setting(
        0.1,
        "seconds for which every detection has to find a face before it is a person",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    birth_score: float = setting(
        0.7,
        "score that a face has to reach to become a person, in the image or when the detector "
        "looks at it closely; what is refused is tried again after half a second",
        minimum=0.0,
        maximum=0.99,
        live=True,
    )
    death: float = setting(
        1.0,
        "seconds after which a person whose face is not found is gone; one who comes back later "
        "gets a new id",
        minimum=0.0,
        maximum=60.0,
        live=True,
    )
    max_speed: float = setting(
        8.0,
        "how fast a face may move against its prediction and still be the same, in face widths a "
        "second",
        minimum=0.0,
        maximum=100.0,
        live=True,
    )
    max_persons: int = setting(
        16,
        "persons followed per camera; further faces wait until one is gone, the largest first",
        minimum=1,
        maximum=256,
        live=True,
    )
    id_prefix: str = setting(
        "",
        "letters that every person_id begins with, up to 16; empty draws five at random at each "
        "start, so that no two nodes or runs share an id",
    )

    def __post_init__(self) -> None:
        if not re.fullmatch("[A-Za-z]{0,16}", self.id_prefix):
            raise SettingError(
                f"tracker.id_prefix is {self.id_prefix!r}, expected up to 16 letters of a to z"
            )


def person_ids(prefix: str) -> Iterator[str]:
    """Yield ids that are never the same twice: letters and a number, e.g. `kwqzt0001`.

    Valid as part of a ROS topic name. An empty `prefix` draws five letters at random.
    """
    prefix = prefix or "".join(secrets.choice(string.ascii_lowercase) for _ in range(5))
    return (f"{prefix}{number:04d}" for number in itertools.count(1))


@dataclass(eq=False)
class _Track:
    """A face that is followed; it is a person once it has an id.

    middle: (2, 2), x and y in pixels, each with its change a second.
    covariance: (2, 2) of value and change in units of the face, the same for x and y.
    size: (2,), width and height in pixels; size_variance: of both, in units of the face.
    face: as last found; born, seen: stamps of its first and its last detection.
    due: stamp from which on it is asked whether it is a person.
    """

    middle: np.ndarray
    covariance: np.ndarray
    size: np.ndarray
    size_variance: float
    face: Face
    born: int
    seen: int
    due: int
    person_id: str | None = None

    def predict(self, seconds: float) -> None:
        """Move on by a time."""
        step, noise = _motion(seconds)
        self.middle = self.middle @ step.T
        self.covariance = step @ self.covariance @ step.T + noise
        self.size_variance += SIZE_DENSITY * seconds

    def correct(self, face: Face, stamp: int) -> None:
        """Take in the face found at `stamp`, for which the track has been predicted."""
        middle, size = _measure(face)
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + MEASUREMENT_DEVIATION**2)
        self.middle += (middle - self.middle[:, 0])[:, None] * gain
        self.covariance -= gain[:, None] * self.covariance[0]
        size_gain = self.size_variance / (self.size_variance + MEASUREMENT_DEVIATION**2)
        self.size = np.maximum(self.size + size_gain * (size - self.size), 1.0)
        self.size_variance *= 1.0 - size_gain
        self.face, self.seen = face, stamp

    def box(self) -> tuple[float, float, float, float]:
        (x, y), (width, height) = self.middle[:, 0].tolist(), self.size.tolist()
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def moved(self) -> Face:
        """Return the face as last found, at the place where it is by now."""
        x1, y1, x2, y2 = self.box()
        return replace(self.face, x1=x1, y1=y1, x2=x2, y2=y2)


class PersonTracker:
    """Follows the faces of one camera."""

    def __init__(self, settings: TrackerSettings, ids: Iterator[str]) -> None:
        """Start with nobody; `ids`, see `person_ids`, is shared by all cameras."""
        self.settings = settings
        self._ids = ids
        self._tracks: list[_Track] = []
        self._stamp = 0  # of no account before there are tracks
        self._detected = 0  # stamp of the last update

    def expected(self, stamp: int) -> list[Face]:
        """Return where the faces followed, those on trial too, will be at `stamp`."""
        self._advance(stamp)
        return [track.moved() for track in self._tracks]

    @property
    def calm(self) -> bool:
        """Whether all faces followed are persons who were found last time and hardly move."""
        return all(
            track.person_id is not None
            and track.seen == self._detected
            and np.linalg.norm(track.middle[:, 1]) < CALM_SPEED * track.size.max()
            for track in self._tracks
        )

    def update(
        self, faces: Sequence[Face], stamp: int, look: Look = attrgetter("score")
    ) -> list[Person]:
        """Return the persons at `stamp`, at which the detector found `faces`.

        `look` gives the score of a doubtful face when it is looked at closely.
        Stamps must not fall. Persons come in the order of their ids; one whose face was not found
        is at its predicted place. A face that names its person is that person's, at once.
        """
        self._advance(stamp)
        self._detected = stamp
        pairs = self._match(faces, stamp)
        for t, f in pairs:
            self._tracks[t].correct(faces[f], stamp)
        # a face on trial that is missed once was none
        self._tracks = [t for t in self._tracks if t.person_id or t.seen == stamp]
        matched = {f for _, f in pairs}
        self._tracks += [_start(face, stamp) for f, face in enumerate(faces) if f not in matched]
        self._name(stamp, look)
        return self._persons(stamp)

    def predict(self, stamp: int) -> list[Person]:
        """Return the persons at `stamp`, at which the detector did not run.

        They count as detected if they were when it ran last.
        """
        self._advance(stamp)
        return self._persons(stamp)

    def _advance(self, stamp: int) -> None:
        death = self.settings.death * SECOND
        self._tracks = [t for t in self._tracks if stamp - t.seen <= death]
        for track in self._tracks:
            track.predict((stamp - self._stamp) / SECOND)
        self._stamp = stamp

    def _match(self, faces: Sequence[Face], stamp: int) -> list[tuple[int, int]]:
        """Pair tracks with faces: those that overlap, then the nearest within reach.

        Before both, a face that names its person goes to that one's track, or to none.
        In one assignment a stranger near a lost person could take the place of a neighbour who is
        found; in two, overlap always goes first.
        """
        if not self._tracks or not faces:
            return []
        predicted = np.array([track.box() for track in self._tracks])
        found = corners(faces)
        names = {track.person_id: t for t, track in enumerate(self._tracks)}
        named = [(names[f.person_id], i) for i, f in enumerate(faces) if f.person_id in names]
        free = np.ones((len(self._tracks), len(faces)), bool)
        free[:, [bool(face.person_id) for face in faces]] = False
        free[[t for t, _ in named]] = False
        overlap = iou(predicted, found)
        pairs = named + _assign(1.0 - overlap, (overlap >= MIN_IOU) & free, limit=1.0)

        distance, near = self._near(self._tracks, predicted, found, stamp)
        near &= free
        for t, f in pairs:
            near[t] = near[:, f] = False
        return pairs + _assign(distance, near, limit=distance[near].max(initial=0.0) + 1.0)

    def _near(
        self, tracks: Sequence[_Track], predicted: np.ndarray, found: np.ndarray, stamp: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how far the tracks' boxes are from those found at `stamp`, in their own lengths.

        Beside it whether that is within reach: of one who is about as large and may have come
        there since last found.
        """
        unseen = np.array([stamp - track.seen for track in tracks]) / SECOND
        centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (predicted, found)]
        sizes = [(boxes[:, 2:] - boxes[:, :2]).mean(axis=1) for boxes in (predicted, found)]
        distance = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2)
        distance /= np.maximum(sizes[0], 1.0)[:, None]
        growth = np.maximum(sizes[1], 1.0)[None] / np.maximum(sizes[0], 1.0)[:, None]
        near = distance <= (0.5 + self.settings.max_speed * unseen)[:, None]
        return distance, near & (growth > 1 / MAX_GROWTH) & (growth < MAX_GROWTH)

    def _name(self, stamp: int, look: Look) -> None:
        """Make persons of the faces that have been followed long enough and are sure enough."""
        free = self.settings.max_persons - sum(t.person_id is not None for t in self._tracks)
        birth, least = self.settings.birth * SECOND, self.settings.birth_score
        ready = [
            track
            for track in self._tracks
            if track.person_id is None
            and (track.face.person_id or (stamp - track.born >= birth and stamp >= track.due))
        ]
        if len(ready) > free:
            ready.sort(key=lambda track: -track.size.prod())
        for track in ready:
            face = track.face
            lost = None if face.person_id else self._lost_near(track)
            if free <= 0 and lost is None:
                continue
            if not (face.person_id or face.score >= least or look(face) >= least):
                track.due = stamp + TRY_AGAIN
                continue
            if lost is not None:
                self._tracks.remove(lost)
                track.person_id = lost.person_id
            else:
                track.person_id = face.person_id or next(self._ids)
                free -= 1

    def _lost_near(self, track: _Track) -> _Track | None:
        """Return the nearest person who is lost since before `track` began, within reach then."""
        lost = [t for t in self._tracks if t.person_id is not None and t.seen < track.born]
        if not lost:
            return None
        boxes = np.array([t.box() for t in lost])
        distance, near = self._near(lost, boxes, np.array([track.box()]), track.born)
        nearest = int(np.where(near, distance, np.inf).argmin())
        return lost[nearest] if near[nearest, 0] else None

    def _persons(self, stamp: int) -> list[Person]:
        persons = [
            Person(t.person_id, t.moved(), stamp, t.seen == self._detected)
            for t in self._tracks
            if t.person_id
        ]
        # the number grows longer after 9999
        return sorted(persons, key=lambda person: (len(person.person_id), person.person_id))


def _motion(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the transition matrix and process noise (2, 2) of a speed that fades over a time.

    The speed is an Ornstein-Uhlenbeck process (Singer 1970). Two motions one after the other are
    the motion of their sum, so the rate does not matter.
    """
    tau = SPEED_MEMORY
    keep = math.exp(-seconds / tau)
    lost = 1.0 - keep
    step = np.array([[1.0, tau * lost], [0.0, keep]])
    place = tau**2 * (seconds - 2.0 * tau * lost + tau / 2 * (1.0 - keep**2))
    both = tau**2 / 2 * lost**2
    speed = tau / 2 * (1.0 - keep**2)
    return step, ACCELERATION_DENSITY * np.array([[place, both], [both, speed]])


def _start(face: Face, stamp: int) -> _Track:
    middle, size = _measure(face)
    known = MEASUREMENT_DEVIATION**2
    covariance = np.diag([known, INITIAL_SPEED_DEVIATION**2])
    still = np.stack([middle, np.zeros(2)], axis=1)
    return _Track(still, covariance, size, known, face, stamp, stamp, stamp)


def _measure(face: Face) -> tuple[np.ndarray, np.ndarray]:
    """Return a face's middle and size, (2,) each."""
    middle = np.array([(face.x1 + face.x2) / 2, (face.y1 + face.y2) / 2])
    return middle, np.array([face.width, face.height])


def _assign(cost: np.ndarray, allowed: np.ndarray, limit: float) -> list[tuple[int, int]]:
    """Return the allowed pairs (row, column) of the assignment with the least total cost.

    A row or column left over costs `limit`, so that a good pair is not given up for two bad ones.
    """
    if not allowed.any():
        return []
    _, columns, _ = lapjv(np.where(allowed, cost, limit), extend_cost=True)
    return [(r, int(c)) for r, c in enumerate(columns) if c >= 0 and allowed[r, c]]
