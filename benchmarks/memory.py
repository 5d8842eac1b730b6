"""Resident memory of the pipeline: over 10,000 frames, and with 1, 5 and 10 people."""

from __future__ import annotations

from pathlib import Path

from caer_ros.benchmark.contest import in_own_process
from caer_ros.benchmark.pipeline import Scenario, measure_pipeline
from caer_ros.demo.material import fetch_material
from caer_ros.engines.settings import EngineSettings


def measure(material: Path, network: str, persons: int, frames: int) -> None:
    scenario = Scenario(640, 480, persons, EngineSettings(weights=network))
    row = in_own_process(measure_pipeline, scenario, material, frames)
    print(
        f"{scenario.name}: {row['memory_mb']:.1f} MB, {row['memory_growth_mb']:+.1f} MB after "
        f"{frames} frames"
    )


if __name__ == "__main__":
    for network in ("caer_net_s", "caer_net"):
        for persons in (1, 5, 10):
            measure(fetch_material(), network, persons, 200)
    measure(fetch_material(), "caer_net_s", 5, 10_000)
