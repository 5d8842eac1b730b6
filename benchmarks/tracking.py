# SPDX-License-Identifier: Apache-2.0
"""How many persons the tracker makes of how many people, on clips whose truth is known.

Ids, IDF1 (Ristani et al. 2016) and ID switches by `motmetrics` (requirements/benchmarks.txt).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import motmetrics
import numpy as np
from tracking_scenes import RATE, Clip, clips, load_heads

from caer_ros.demo.material import fetch_material
from caer_ros.perception.boxes import corners, iou
from caer_ros.perception.detector import FaceDetector
from caer_ros.perception.pipeline import PipelineSettings
from caer_ros.perception.search import FaceSearch
from caer_ros.perception.tracker import PersonTracker, person_ids
from caer_ros.settings import build
from caer_ros.types import SECOND, Face, Person

RATES = (30, 15, 10, 5)

SAME_IOU = 0.3
"""Least overlap of a person's box with the true one."""

FOREIGN_IOU = 0.15
"""A person whose box overlaps every true face by less was made of something else."""


@dataclass
class Run:
    """A clip at one rate. foreign: persons, one for each image, where no face was."""

    clip: Clip
    rate: int
    tracker: PersonTracker
    matches: motmetrics.MOTAccumulator
    search: FaceSearch | None = None
    ids: set[str] = field(default_factory=set)
    foreign: int = 0

    def compare(self, persons: Sequence[Person], truth: dict[int, Face]) -> None:
        """Count the persons of one image; who is not detected in it is neither right nor wrong."""
        self.ids |= {person.person_id for person in persons}
        seen = [person for person in persons if person.detected]
        overlap = iou(corners(list(truth.values())), corners([person.face for person in seen]))
        distance = np.where(overlap >= SAME_IOU, 1.0 - overlap, np.nan)
        self.matches.update(list(truth), [_number(person) for person in seen], distance)
        self.foreign += int((overlap.max(axis=0, initial=0.0) < FOREIGN_IOU).sum())


def follow(clip: Clip, detector: FaceDetector, settings: PipelineSettings) -> list[Run]:
    """Track the faces of a clip at all rates, each of which skips images of the highest."""
    runs = [
        Run(
            clip,
            rate,
            PersonTracker(settings.tracker, person_ids("p")),
            motmetrics.MOTAccumulator(auto_id=True),
        )
        for rate in RATES
    ]
    for k, (image, truth) in enumerate(clip.frames()):
        look = partial(detector.look, image)
        stamp = k * SECOND // RATE
        for run in runs:
            if k % (RATE // run.rate) == 0:
                run.search = run.search or FaceSearch(image.shape[1], image.shape[0], detector)
                if run.search.rests(stamp, run.tracker.calm):
                    persons = run.tracker.predict(stamp)
                else:
                    faces = run.search.find(image, stamp, run.tracker.expected(stamp))
                    persons = run.tracker.update(faces, stamp, look)
                run.compare(persons, truth)
    return runs


def report(runs: Sequence[Run]) -> str:
    """Return ids, IDF1, switches a clip and foreign seconds a clip of one scene at one rate."""
    ids = [len(run.ids) for run in runs]
    spread = f"{min(ids)}" if min(ids) == max(ids) else f"{min(ids)}-{max(ids)}"
    foreign = np.mean([run.foreign / run.rate for run in runs])
    if not runs[0].clip.persons:
        return f"{spread:>6}                {foreign:5.2f}"
    summary = (
        motmetrics.metrics.create()
        .compute_many(
            [run.matches for run in runs],
            metrics=["idf1", "num_switches"],
            names=[str(n) for n in range(len(runs))],
            generate_overall=True,
        )
        .loc["OVERALL"]
    )
    switches = summary.num_switches / len(runs)
    return f"{spread:>6} {100 * summary.idf1:8.1f} {switches:6.2f} {foreign:5.2f}"


def _number(person: Person) -> int:
    return int(person.person_id.removeprefix("p"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--casts", type=int, default=4, help="of every scene, up to 6")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="e.g. tracker.birth=0.2")
    arguments = parser.parse_args()
    pairs = (setting.partition("=") for setting in arguments.settings)
    settings = build(PipelineSettings, {name: float(value) for name, _, value in pairs})
    detector = FaceDetector(settings.detector)
    runs: dict[tuple[str, int, int], list[Run]] = {}
    for clip in clips(load_heads(fetch_material()), arguments.casts):
        for run in follow(clip, detector, settings):
            runs.setdefault((clip.name, clip.persons, run.rate), []).append(run)
    print(f"{'':22} persons  rate    ids     IDF1 switches foreign s")
    for (name, persons, rate), group in runs.items():
        print(f"{name:22} {persons:7} {rate:5} {report(group)}")


if __name__ == "__main__":
    main()
