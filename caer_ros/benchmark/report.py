# SPDX-License-Identifier: Apache-2.0
"""The figures as tables, JSON and a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from caer_ros.engines.runtime import ov

Row = dict[str, Any]


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, load, versions."""
    core = ov.Core()
    return {
        "processor": core.get_property("CPU", "FULL_DEVICE_NAME"),
        "cores": len(os.sched_getaffinity(0)),
        "computes_in": list(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: _version(name) for name in ("openvino", "torch", "torch_tensorrt", "numpy")},
    }


def to_markdown(report: dict[str, Any]) -> str:
    """Return all tables of the report as Markdown."""
    machine = report["machine"]
    parts = [
        f"{machine['processor']}, {machine['cores']} cores, OpenVINO {machine['openvino']}, "
        f"torch {machine['torch']}; load before the run {machine['load_before']:.1f}"
    ]
    for title, columns in TABLES.items():
        if rows := report.get(title):
            parts.append(f"### {title.capitalize()}\n\n{_table(rows, columns)}")
    ratios = "\n".join(f"| {name} | {value:.2f} |" for name, value in report["ratios"].items())
    parts.append(f"### Ratios\n\n| ratio | |\n| --- | --- |\n{ratios}")
    return "\n\n".join(parts)


PARTS = ("detector", "network", "crops", "rest", "waiting", "transport")
"""What the processor's time of an image is made of; the last is the node's alone."""

TABLES: dict[str, dict[str, str]] = {
    "engines": {
        "network": "",
        "engine": "",
        "threads": "d",
        "median_ms": ".2f",
        "p95_ms": ".2f",
        "times_eager": ".1f",
    },
    "pipeline": {
        "scenario": "",
        "persons_found": ".1f",
        "frames_per_second": ".1f",
        "p50_ms": ".1f",
        "p95_ms": ".1f",
        "p99_ms": ".1f",
        **{f"cpu_ms.{part}": ".2f" for part in ("total", *PARTS[:-1])},
        "memory_mb": ".0f",
        "memory_growth_mb": ".1f",
    },
    "node": {
        "scenario": "",
        "images": "d",
        "dropped": "d",
        "p50_ms": ".1f",
        "p95_ms": ".1f",
        "p99_ms": ".1f",
        **{f"cpu_ms.{part}": ".2f" for part in ("total", *PARTS)},
        "memory_mb": ".0f",
        "memory_growth_mb": ".1f",
        "start_to_active_s": ".1f",
    },
    "peers": {
        "candidate": "",
        "persons": "d",
        "faces_found": "d",
        "median_ms": ".1f",
        "p95_ms": ".1f",
        "frames_per_second": ".1f",
    },
}
"""Sections of the report, and of each the columns with their formats."""


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw where the processor's time goes in each scenario."""
    rows = report.get("node") or report["pipeline"]
    figure, axes = plt.subplots(figsize=(10, 1.5 + 0.4 * len(rows)), layout="constrained")
    left = [0.0] * len(rows)
    names = [row["scenario"] for row in rows]
    for part in PARTS:
        values = [row["cpu_ms"][part] for row in rows]
        axes.barh(names, values, left=left, label=part)
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("CPU milliseconds an image, all threads")
    figure.legend(loc="outside upper center", ncols=len(PARTS), frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _table(rows: Sequence[Row], columns: dict[str, str]) -> str:
    lines = [
        "| " + " | ".join(name.replace("_", " ").replace(".", " ") for name in columns) + " |",
        "|" + " --- |" * len(columns),
    ]
    for row in rows:
        cells = [_cell(row, name, form) for name, form in columns.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Row, name: str, form: str) -> str:
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else format(value, form)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
