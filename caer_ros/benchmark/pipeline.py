# SPDX-License-Identifier: Apache-2.0
"""The pipeline without ROS: frames in, readings out, and where the processor's time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.benchmark.account import WARM_UP, AccountingPipeline
from caer_ros.benchmark.scenes import compose, load_people
from caer_ros.engines.settings import EngineSettings
from caer_ros.perception.pipeline import PipelineSettings
from caer_ros.settings import build
from caer_ros.types import SECOND, Frame

RATE = 30
"""Images a second that a camera gives."""


@dataclass(frozen=True)
class Scenario:
    """What each camera sees and what reads it.

    cores: how many the node may use, 0 for all; cameras, rate (Hz) and cores are for the node.
    """

    width: int
    height: int
    persons: int
    engine: EngineSettings
    interval: int = 1
    cameras: int = 1
    rate: int = RATE
    cores: int = 0

    @property
    def name(self) -> str:
        interval = f", every {self.interval}." if self.interval > 1 else ""
        cameras = f"{self.cameras} cameras at {self.rate} Hz, " if self.cameras > 1 else ""
        cores = f", {self.cores} core(s)" if self.cores else ""
        return (
            f"{cameras}"
            f"{self.width}x{self.height}, {self.persons} "
            f"{'person' if self.persons == 1 else 'persons'}, {self.engine.weights}, "
            f"{self.engine.engine} {self.engine.precision}{interval}{cores}"
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """The node's parameters, by dotted name."""
        return {
            "detector.interval": self.interval,
            **{f"engine.{name}": value for name, value in vars(self.engine).items()},
        }


def measure_pipeline(scenario: Scenario, material: Path, frames: int) -> dict[str, Any]:
    """Run `frames` frames through the pipeline; must have a process of its own.

    Times are milliseconds a frame: `cpu_ms` is that of `AccountingPipeline`, the others are of
    wall clock.
    """
    pipeline = AccountingPipeline.from_settings(build(PipelineSettings, scenario.parameters))
    scene = compose(load_people(material), scenario.width, scenario.height, scenario.persons)
    images = repeat(scene)
    for _ in range(WARM_UP):
        pipeline.process([next(images)])
    memory = resident_memory()
    wall = []
    found = 0
    for _ in range(frames):
        frame = next(images)
        started = time.perf_counter()
        (result,) = pipeline.process([frame])
        wall.append(time.perf_counter() - started)
        found += len(result.readings)
    grown = resident_memory() - memory
    engine = pipeline.engine
    pipeline.close()
    return {
        "scenario": scenario.name,
        "engine": f"{engine.name} {engine.precision} on {engine.device}",
        "frames_per_second": frames / sum(wall),
        "persons_found": found / frames,
        **{f"{share}_ms": 1e3 * float(np.quantile(wall, q)) for share, q in QUANTILES.items()},
        "cpu_ms": pipeline.cpu_ms(),
        "memory_mb": memory - scene.nbytes / 1e6,
        "memory_growth_mb": grown,
    }


QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def resident_memory(process: int | str = "self") -> float:
    """Return the resident memory of a process in MB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(process)


def repeat(scene: np.ndarray) -> Iterator[Frame]:
    """Yield the frames of a scene for ever, with the stamps of a camera at `RATE`."""
    number = 0
    while True:
        yield Frame("camera", SECOND + number * SECOND // RATE, scene[number % len(scene)])
        number += 1
