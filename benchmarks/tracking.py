# SPDX-License-Identifier: Apache-2.0
"""How many persons the tracker makes of how many people, on clips whose truth is known.

Ids, IDF1 (Ristani et al. 2016) and ID switches by `motmetrics` (requirements/benchmarks.txt).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import motmetrics
import numpy as np
from tracking_scenes import RATE, Clip, clips, load_heads

from caer_ros.demo.material import fetch_material
from caer_ros.perception.boxes import corners, iou
from caer_ros.perception.detector import FaceDetector
from caer_ros.perception.pipeline import PipelineSettings
from caer_ros.perception.tracker import PersonTracker, person_ids
from caer_ros.settings import build
from caer_ros.types import SECOND, Face, Person

RATES = (30, 15, 10, 5)

SAME_IOU = 0.3
"""Least overlap of a person's box with the true one."""

FOREIGN_IOU = 0.15
"""A person whose box overlaps every true face by less was made of something else."""

Frame = tuple[list[Face], dict[int, Face]]
"""What the detector found, and the truth by actor."""


@dataclass(frozen=True)
class Outcome:
    """One clip at one rate. foreign: seconds in which persons stood where no face was."""

    clip: Clip
    ids: int
    foreign: float
    matches: motmetrics.MOTAccumulator


def follow(clip: Clip, frames: Sequence[Frame], rate: int, settings: PipelineSettings) -> Outcome:
    """Track what was found in every (30 / rate)-th frame of a clip."""
    tracker = PersonTracker(settings.tracker, person_ids("p"))
    matches = motmetrics.MOTAccumulator(auto_id=True)
    step = RATE // rate
    ids: set[str] = set()
    foreign = 0
    for k in range(0, len(frames), step):
        found, truth = frames[k]
        persons = tracker.update(found, k * SECOND // RATE)
        ids |= {person.person_id for person in persons}
        seen = [person for person in persons if person.detected]
        overlap = iou(corners(list(truth.values())), corners([person.face for person in seen]))
        distance = np.where(overlap >= SAME_IOU, 1.0 - overlap, np.nan)
        matches.update(list(truth), [_number(person) for person in seen], distance)
        foreign += int((overlap.max(axis=0, initial=0.0) < FOREIGN_IOU).sum())
    return Outcome(clip, len(ids), foreign / rate, matches)


def report(outcomes: Sequence[Outcome]) -> str:
    """Return ids for persons, IDF1, switches a clip and foreign seconds of one scene and rate."""
    ids = [outcome.ids for outcome in outcomes]
    spread = f"{min(ids)}" if min(ids) == max(ids) else f"{min(ids)}-{max(ids)}"
    foreign = np.mean([outcome.foreign for outcome in outcomes])
    if not outcomes[0].clip.persons:
        return f"{spread:>6}                {foreign:5.2f}"
    summary = (
        motmetrics.metrics.create()
        .compute_many(
            [outcome.matches for outcome in outcomes],
            metrics=["idf1", "num_switches"],
            names=[str(n) for n in range(len(outcomes))],
            generate_overall=True,
        )
        .loc["OVERALL"]
    )
    switches = summary.num_switches / len(outcomes)
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
    outcomes: dict[tuple[str, int, int], list[Outcome]] = {}
    for clip in clips(load_heads(fetch_material()), arguments.casts):
        frames = [(detector.detect(image), truth) for image, truth in clip.frames()]
        for rate in RATES:
            outcome = follow(clip, frames, rate, settings)
            outcomes.setdefault((clip.name, clip.persons, rate), []).append(outcome)
    print(f"{'':20} persons  rate    ids     IDF1 switches foreign s")
    for (name, persons, rate), results in outcomes.items():
        print(f"{name:20} {persons:7} {rate:5} {report(results)}")


if __name__ == "__main__":
    main()
