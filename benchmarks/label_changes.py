# SPDX-License-Identifier: Apache-2.0
"""How often labels change that should not, and how late those come that should.

Photos of faces under a moving, noisy camera: nothing happens in them, so every change is a
mistake. Then two photos take turns at each place: a change is right, and timed. And the demo's
video. What the network says is read once; then it is smoothed in each of the ways that are asked
for.

The photos are those of the demo's material. With `--ferplus` and `--half` they are 20 strangers of
an archive of FER+, to judge by one half what was chosen by the other, or by the material.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from tracking_scenes import (  # fmt: skip
    CLOTHES,
    EDGE,
    HEIGHT,
    SURROUNDINGS,
    WIDTH,
    Actor,
    Camera,
    Clip,
    Head,
    Place,
    cut_heads,
    load_heads,
)

from caer_ros.demo.material import LEAVING, VIDEO, fetch_material
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.perception.smoothing import EmotionSmoother, SmoothingSettings
from caer_ros.settings import build
from caer_ros.training.datasets.ferplus import VOTES
from caer_ros.types import SECOND, Emotion, Face, Frame
from caer_ros.video import Video

RATE = 10
STILL_SECONDS = 45
SHOWN_SECONDS = 4
"""Seconds for which each of two photos is shown at a time."""

TURNS = 8

CLEAR = 0.2
"""How far a photo's first emotion is before its second, on average, for its label to be known."""

Said = list[tuple[int, np.ndarray]]
"""What the network said of one person: stamps and probabilities (7,)."""

Image = tuple[np.ndarray, dict[int, Face]]


def row(heads: Sequence[Head], width: float, noise: float, seed: int, seconds: int) -> Clip:
    """Return a clip of people who stand side by side before a camera that is carried."""

    def stand(n: int) -> Place:
        x = WIDTH * (n + 0.5) / len(heads)
        return lambda t: (
            x + 2 * math.sin(1.1 * t + n),
            HEIGHT / 2 + 2 * math.sin(0.9 * t + 2 * n),
            width,
            0.0,
        )

    def carried(phase: float) -> Camera:
        return lambda t: (
            14 * math.sin(1.7 * t + phase) + 5 * math.sin(5.3 * t) + 1.5 * math.sin(23 * t),
            8 * math.sin(1.3 * t + phase) + 3 * math.sin(7.1 * t) + 1.2 * math.sin(19 * t),
        )

    actors = [Actor(head, stand(n), CLOTHES[n % len(CLOTHES)]) for n, head in enumerate(heads)]
    return Clip("row", seconds, actors, carried(seed), noise=noise, seed=seed, rate=RATE)


def listen(pipeline: EmotionPipeline, images: Iterable[Image]) -> dict[int, Said]:
    """Return what the network says of each actor."""
    pipeline.reset()
    said: dict[int, Said] = {}
    for k, (image, truth) in enumerate(images):
        stamp = SECOND + k * SECOND // RATE
        (result,) = pipeline.process([Frame("camera", stamp, image)])
        for reading in result.readings:
            x = (reading.face.x1 + reading.face.x2) / 2
            for actor, face in truth.items():
                if face.x1 < x < face.x2:
                    said.setdefault(actor, []).append((stamp, np.array(reading.probabilities)))
    return said


def smooth(said: Said, settings: SmoothingSettings) -> list[tuple[int, Emotion]]:
    """Return the label at each stamp."""
    stamp, probabilities = said[0]
    smoother = EmotionSmoother(probabilities, stamp)
    labels = [(stamp, smoother.emotion)]
    for stamp, probabilities in said[1:]:
        smoother.update(probabilities, stamp, settings)
        labels.append((stamp, smoother.emotion))
    return labels


def changes_per_minute(said: Said, settings: SmoothingSettings) -> float:
    labels = [label for _, label in smooth(said, settings)]
    changes = sum(a != b for a, b in zip(labels, labels[1:], strict=False))
    return 60 * RATE * changes / len(labels)


def delays(said: Said, settings: SmoothingSettings) -> list[float]:
    """Return how many seconds after each switch of two photos the new one's label came.

    A photo's label is that of its mean probabilities. Empty where the two are alike or not clear;
    a label that never came counts as late as the next switch.
    """
    turn = [(stamp - SECOND) // (SHOWN_SECONDS * SECOND) for stamp, _ in said]
    truth = []
    for side in (0, 1):
        mean = np.mean([p for n, (_, p) in zip(turn, said, strict=True) if n % 2 == side], axis=0)
        second, first = np.sort(mean)[-2:]
        if first - second < CLEAR:
            return []
        truth.append(int(mean.argmax()))
    if truth[0] == truth[1]:
        return []
    labels = smooth(said, settings)
    late = []
    for n in range(1, TURNS):
        begin = SECOND + n * SHOWN_SECONDS * SECOND
        end = begin + SHOWN_SECONDS * SECOND
        right = [s for s, label in labels if begin <= s < end and label == truth[n % 2]]
        late.append((min(right, default=end) - begin) / SECOND)
    return late


def video_labels(said: Said, settings: SmoothingSettings) -> str:
    """Return the labels of a video and the seconds at which they came."""
    labels = smooth(said, settings)
    first = labels[0][0]
    runs: list[tuple[int, Emotion]] = []
    for stamp, label in labels:
        if not runs or runs[-1][1] != label:
            runs.append((stamp, label))
    return ", ".join(f"{label.label} {(stamp - first) / SECOND:.1f}" for stamp, label in runs)


def listen_to_video(pipeline: EmotionPipeline) -> Said:
    pipeline.reset()
    said: Said = []
    with Video(fetch_material() / VIDEO) as video:
        for stamp, image in video:
            (result,) = pipeline.process([Frame("camera", stamp, image)])
            said += [(stamp, np.array(reading.probabilities)) for reading in result.readings]
    return said


def listen_to_photos(pipeline: EmotionPipeline) -> tuple[list[Said], list[Said]]:
    """Return what is said of photos that stay, and of photos that take turns."""
    material = fetch_material()
    more = cut_heads(material / VIDEO, (0, 60, 120, 300, 400))
    more += cut_heads(material / LEAVING, (2, 30, 60))
    heads = [*load_heads(material), *(Head(front, front) for front in more)]
    still: list[Said] = []
    for seed, (first, width, noise) in enumerate(
        [(0, 80, 6), (5, 70, 8), (9, 90, 6), (0, 50, 10), (5, 55, 8)]
    ):
        clip = row(heads[first : first + 5], width, noise, seed, STILL_SECONDS)
        still += listen(pipeline, clip.frames()).values()
    switched: list[Said] = []
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(heads))
        sides = [
            row([heads[n] for n in half], 75, 6, seed, TURNS * SHOWN_SECONDS).frames()
            for half in (order[:5], order[5:10])
        ]
        switched += listen(pipeline, _take_turns(*sides)).values()
    return still, switched


WANTED = {"neutral": 10, "happiness": 8, "surprise": 8, "sadness": 8, "anger": 6}
"""How many pictures of each vote are drawn from FER+; the first 20 that show a face stay."""


def strangers(archive: Path, half: int) -> list[Head]:
    """Return 20 heads from pictures that six voters or more agree on, of even or odd index."""
    with np.load(archive, allow_pickle=False) as ferplus:
        images, votes = ferplus["images"], ferplus["votes"][:, : len(VOTES) - 3]
    agreed = (votes.max(axis=1) >= 6) & (np.arange(len(images)) % 2 == half)
    random = np.random.default_rng(100 + half)
    picked: list[int] = []
    for name, count in WANTED.items():
        of_kind = np.flatnonzero(agreed & (votes.argmax(axis=1) == VOTES.index(name)))
        picked += random.choice(of_kind, count, replace=False).tolist()
    detector = FaceDetector(DetectorSettings())
    heads = []
    for number in random.permutation(picked):
        front = _head_of(images[number])
        around = cv2.copyMakeBorder(front, 100, 100, 100, 100, cv2.BORDER_REPLICATE)
        if any(face.score > 0.6 for face in detector.detect(around)):
            heads.append(Head(front, front))
    detector.close()
    return heads[:20]


def _head_of(face: np.ndarray) -> np.ndarray:
    edge = round(1.25 * EDGE / SURROUNDINGS)
    head = np.full((EDGE, EDGE), int(np.median(face)), np.uint8)
    inside = slice((EDGE - edge) // 2, (EDGE - edge) // 2 + edge)
    head[inside, inside] = cv2.resize(face, (edge, edge), interpolation=cv2.INTER_CUBIC)
    return cv2.cvtColor(cv2.GaussianBlur(head, (0, 0), 1), cv2.COLOR_GRAY2BGR)


def listen_to_strangers(
    pipeline: EmotionPipeline, heads: Sequence[Head], half: int
) -> tuple[list[Said], list[Said]]:
    """Return what is said of strangers as `listen_to_photos` does of the material."""
    still: list[Said] = []
    for n, (width, noise) in enumerate([(80, 6), (70, 8), (90, 6), (55, 8)]):
        clip = row(heads[5 * n : 5 * n + 5], width, noise, 50 + 10 * half + n, STILL_SECONDS)
        still += listen(pipeline, clip.frames()).values()
    switched: list[Said] = []
    for n in range(5):
        order = np.random.default_rng(1000 * half + n + 7).permutation(len(heads))
        sides = [
            row(
                [heads[m] for m in part], 75, 6, 60 + 10 * half + n, TURNS * SHOWN_SECONDS
            ).frames()
            for part in (order[:5], order[5:10])
        ]
        switched += listen(pipeline, _take_turns(*sides)).values()
    return still, switched


def _take_turns(one: Iterator[Image], other: Iterator[Image]) -> Iterator[Image]:
    for k, pair in enumerate(zip(one, other, strict=True)):
        yield pair[k // (SHOWN_SECONDS * RATE) % 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="NAME=VALUE,…",
        help="ways to smooth beside the default, e.g. time_constant=0.5,hold=0.2",
    )
    parser.add_argument("--ferplus", type=Path, metavar="NPZ", help="an archive of FER+")
    parser.add_argument("--half", type=int, choices=(0, 1), default=0, help="of that archive")
    arguments = parser.parse_args()
    ways = [SmoothingSettings()]
    for way in arguments.settings:
        pairs = (pair.partition("=") for pair in way.split(","))
        ways.append(build(SmoothingSettings, {name: float(value) for name, _, value in pairs}))
    raw = {"smoothing.time_constant": 0.0}
    pipeline = EmotionPipeline.from_settings(build(PipelineSettings, raw))
    if arguments.ferplus:
        heads = strangers(arguments.ferplus, arguments.half)
        still, switched = listen_to_strangers(pipeline, heads, arguments.half)
    else:
        still, switched = listen_to_photos(pipeline)
    video = listen_to_video(pipeline)
    for way in ways:
        mistakes = [changes_per_minute(said, way) for said in still]
        late = [delay for said in switched for delay in delays(said, way)]
        print(way)
        print(
            f"  photos that stay: {np.mean(mistakes):.2f} changes a person-minute, "
            f"{max(mistakes):.2f} at most, of {len(still)} persons"
        )
        print(
            f"  photos that take turns: right after {np.median(late):.2f} s (median), "
            f"{np.quantile(late, 0.9):.2f} s (90 %), of {len(late)} switches"
        )
        print(f"  the demo's video: {video_labels(video, way)}")


if __name__ == "__main__":
    main()
