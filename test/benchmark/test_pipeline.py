# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from caer_ros.benchmark.interleaved import in_own_process
from caer_ros.benchmark.pipeline import Scenario, measure_pipeline
from caer_ros.benchmark.report import PARTS
from caer_ros.engines.settings import EngineSettings
from caer_ros.perception.pipeline import PipelineSettings
from caer_ros.settings import build


def test_the_parameters_of_a_scenario_are_those_of_the_node() -> None:
    settings = EngineSettings(weights="caer_net", precision="f32", threads=3)
    scenario = Scenario(1280, 720, 10, settings, interval=2)
    built = build(PipelineSettings, scenario.parameters)
    assert built.engine == settings
    assert built.detector.interval == 2
    assert scenario.name == "1280x720, 10 persons, caer_net, auto f32, every 2."


def test_where_the_time_goes_adds_up(material: Path) -> None:
    scenario = Scenario(640, 480, 5, EngineSettings(engine="openvino", threads=1))
    row = in_own_process(measure_pipeline, scenario, material, 10)
    assert row["persons_found"] == 5
    assert row["engine"].startswith("openvino")
    cpu = row["cpu_ms"]
    assert min(cpu[part] for part in ("detector", "network", "crops", "rest")) > 0
    # OpenVINO's threads sleep or work when a part ends, or are about to, hence not exactly 0
    assert min(cpu.values()) > -0.05
    assert sum(cpu[part] for part in PARTS) == pytest.approx(cpu["total"])
    assert row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
    assert 50 < row["memory_mb"] < 350
