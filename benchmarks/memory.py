# SPDX-License-Identifier: Apache-2.0
"""Resident memory of the pipeline: over 10,000 frames, warm, and with 1, 5 and 10 people."""

from __future__ import annotations

from pathlib import Path

from caer_ros.benchmark.interleaved import in_own_process
from caer_ros.benchmark.pipeline import repeat, resident_memory
from caer_ros.benchmark.scenes import compose, load_people
from caer_ros.demo.material import fetch_material
from caer_ros.engines.settings import EngineSettings
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings


def measure(material: Path, network: str, persons: int, frames: int) -> None:
    settings = PipelineSettings(engine=EngineSettings(weights=network))
    pipeline = EmotionPipeline.from_settings(settings)
    images = repeat(compose(load_people(material), 640, 480, persons))
    print(f"{network}, {persons} person(s), MB after so many frames:", end="")
    for number in range(1, frames + 1):
        pipeline.process([next(images)])
        if number % (frames // 6) == 0:
            print(f"  {number}: {resident_memory():.1f}", end="", flush=True)
    print(flush=True)


if __name__ == "__main__":
    for network in ("caer_net_s", "caer_net"):
        for persons in (1, 5, 10):
            in_own_process(measure, fetch_material(), network, persons, 500)
    in_own_process(measure, fetch_material(), "caer_net_s", 5, 12_000)
