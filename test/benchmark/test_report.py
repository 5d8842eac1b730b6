# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import cv2

from caer_ros.benchmark.report import describe_machine, draw, to_markdown

CPU = {"total": 6.5, "detector": 3.0, "network": 1.0, "crops": 0.5, "rest": 0.4, "waiting": 0.1,
       "transport": 1.5}  # fmt: skip
REPORT = {
    "machine": {**describe_machine(), "processor": "Test CPU", "load_before": 0.25},
    "ratios": {"caer_net_s/openvino_vs_torch": 4.25},
    "engines": [
        {"network": "caer_net_s", "engine": "openvino f32", "threads": 2, "median_ms": 1.234,
         "p95_ms": 2.0},
    ],
    "pipeline": [
        {"scenario": "VGA, 1 person", "persons_found": 1.0, "frames_per_second": 200.0,
         "p50_ms": 5.0, "p95_ms": 6.0, "p99_ms": 7.0, "memory_mb": 200.0, "memory_growth_mb": 0.1,
         "cpu_ms": CPU},
    ],
    "node": [{"scenario": "VGA, 1 person", "images": 600, "dropped": 0, "cpu_ms": CPU}],
}  # fmt: skip


def test_the_tables_have_every_row_and_leave_unknown_cells_empty() -> None:
    lines = to_markdown(REPORT).splitlines()
    assert lines[0].startswith("Test CPU, ")
    assert lines[0].endswith("load before the run 0.2")
    assert "| caer_net_s | openvino f32 | 2 | 1.23 | 2.00 |  |" in lines
    assert any("| 6.50 | 3.00 | 1.00 | 0.50 | 0.40 | 0.10 |" in line for line in lines)
    assert "| caer_net_s/openvino_vs_torch | 4.25 |" in lines
    assert "### Peers" not in lines


def test_the_report_is_plain_json() -> None:
    assert json.loads(json.dumps(REPORT)) == REPORT


def test_the_picture_shows_something(tmp_path: Path) -> None:
    draw(REPORT, tmp_path / "cpu.png")
    image = cv2.imread(str(tmp_path / "cpu.png"))
    assert image is not None
    assert image.std() > 10
