# SPDX-License-Identifier: Apache-2.0
"""Measure engines, pipeline and, where asked, the node over DDS.

Candidates are run in turn, each in a process of its own; ratios are within one run. Without
--quick it takes some ten minutes. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from caer_ros.arguments import new_file, whole_number
from caer_ros.benchmark.engines import NETWORKS, PAPER, measure_engines
from caer_ros.benchmark.interleaved import in_own_process
from caer_ros.benchmark.pipeline import Scenario, measure_pipeline
from caer_ros.benchmark.report import describe_machine, draw, to_markdown
from caer_ros.demo.material import fetch_material
from caer_ros.engines.settings import EngineSettings
from caer_ros.files import write_file, write_json

SIZES = ((640, 480), (1280, 720))
PERSONS = (1, 5, 10)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="the main figures within a minute")
    parser.add_argument("--node", action="store_true", help="also the real node, over DDS")
    parser.add_argument(
        "--threads",
        type=whole_number(0),
        default=0,
        help="of every engine; 0: as many as there are cores where engines are compared, "
        "engine.threads 0 where pipeline and node are measured",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures here")
    parser.add_argument("--markdown", type=new_file, metavar="FILE", help="write the tables here")
    parser.add_argument("--png", type=new_file, metavar="FILE", help="draw the CPU time here")


def main(args: argparse.Namespace) -> int:
    """Measure, print the tables and write the files asked for."""
    threads = args.threads or min(4, len(os.sched_getaffinity(0)))
    report: dict[str, Any] = {"machine": describe_machine(), "ratios": {}}
    with tempfile.TemporaryDirectory(prefix="caer_benchmark_") as name:
        folder = Path(name)
        networks = list(NETWORKS)
        if not args.quick and find_spec("torch"):
            networks += PAPER
        report["engines"], report["ratios"] = measure_engines(
            networks, threads, 5 if args.quick else 15, folder
        )
        material = fetch_material()
        scenarios = choose_scenarios(args.threads, args.quick)
        frames = 60 if args.quick else 300
        report["pipeline"] = [
            in_own_process(measure_pipeline, scenario, material, frames) for scenario in scenarios
        ]
        if args.node:
            from caer_ros.benchmark.node import measure_node

            seconds = 5.0 if args.quick else 10.0
            report["node"] = [
                in_own_process(measure_node, scenario, material, seconds, folder)
                for scenario in [*scenarios, *choose_loads(args.threads)]
            ]
    print(to_markdown(report))
    if args.json:
        write_json(args.json, report)
    if args.markdown:
        write_file(args.markdown, to_markdown(report) + "\n")
    if args.png:
        draw(report, args.png)
    return 0


def choose_scenarios(threads: int, quick: bool) -> list[Scenario]:
    """Return what to measure: sizes, persons, networks, each engine this machine has."""
    static = EngineSettings(threads=threads)
    video = EngineSettings(weights="caer_net", threads=threads)
    if quick:
        return [Scenario(640, 480, persons, static) for persons in (1, 5)]
    scenarios = [
        Scenario(width, height, persons, engine)
        for engine in (static, video)
        for width, height in SIZES
        for persons in PERSONS
    ]
    others = [EngineSettings(engine="openvino", precision="f32", threads=threads)]
    if find_spec("torch"):
        others.append(EngineSettings(engine="torch", threads=threads))
    scenarios += [Scenario(640, 480, persons, other) for other in others for persons in (1, 5)]
    scenarios += [Scenario(640, 480, 5, static, interval) for interval in (2, 3)]
    return scenarios


def choose_loads(threads: int) -> list[Scenario]:
    """Return what the node alone is put to: the scene too, several cameras, a single core."""
    static = EngineSettings(threads=threads)
    scene = EngineSettings(weights="caer_net_s_scene", threads=threads)
    return [
        Scenario(640, 480, 1, scene),
        Scenario(640, 480, 5, scene),
        Scenario(640, 480, 5, scene, cores=1),
        Scenario(640, 480, 2, static, cameras=4, rate=15),
        Scenario(640, 480, 5, EngineSettings(weights="caer_net", threads=threads)),
    ]
