# SPDX-License-Identifier: Apache-2.0
"""The real node over DDS: a camera process, the node's process, and a listener."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from caer_ros.benchmark.camera import TOPIC, publish
from caer_ros.benchmark.interleaved import BenchmarkError
from caer_ros.benchmark.pipeline import QUANTILES, Scenario, resident_memory
from caer_ros.messages import to_nanoseconds
from caer_ros.msg import EmotionArray
from caer_ros.ros.client import Client, NodeError, Process, enter_own_graph, fast_dds_profile


def measure_node(
    scenario: Scenario, material: Path, seconds: float, folder: Path
) -> dict[str, Any]:
    """Let the cameras publish for so long and measure the node; needs a fresh process.

    `dropped` counts images that got no answer, lost on the way ones too; latency is from the
    image's stamp, set when it was published, to the arrival of its emotions here; `cpu_ms` is that
    of `AccountingPipeline` in the node's process.

    Raises:
        BenchmarkError: where node or camera fail.
    """
    enter_own_graph()
    parameters = folder / "parameters.yaml"
    topics = [TOPIC, *(f"/camera_{n}/image_raw" for n in range(2, scenario.cameras + 1))]
    values = {**scenario.parameters, "image_topics": topics}
    parameters.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
    account = folder / "account.json"
    node_command = [sys.executable, "-m", "caer_ros.benchmark.account", str(account), "--ros-args"]
    node_command += ["--params-file", str(parameters)]
    if scenario.cores:
        cores = sorted(os.sched_getaffinity(0))[: scenario.cores]
        node_command = ["taskset", "-c", ",".join(map(str, cores)), *node_command]
    frames = round(seconds * scenario.rate)
    view = scenario.width, scenario.height, scenario.persons, scenario.rate, frames
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(topics))
    cameras = [
        context.Process(target=publish, args=(material, *view, topic, barrier), daemon=True)
        for topic in topics
    ]
    log = folder / "node.log"
    arrivals: list[tuple[int, int]] = []

    def note(message: EmotionArray) -> None:
        arrivals.append((to_nanoseconds(message.header.stamp), time.time_ns()))

    with ExitStack() as stack:
        started = time.monotonic()
        node = stack.enter_context(Process(node_command, log))
        stack.enter_context(fast_dds_profile())  # the node does without, as on a robot
        client = stack.enter_context(Client(on_emotions=note))
        try:
            client.activate(node)
            start = time.monotonic() - started
            for camera in cameras:
                camera.start()
            client.spin(lambda: arrivals, "answer the first image", node)
            memory = resident_memory(node.pid)
            client.spin(lambda: not any(c.is_alive() for c in cameras), "hear all", node, 600)
        except NodeError as error:
            raise BenchmarkError(f"{error}\n{node.output[-2000:]}") from error
        end = resident_memory(node.pid)
    for camera in cameras:
        if camera.exitcode:
            raise BenchmarkError(f"a camera ended with status {camera.exitcode}")
    images = frames * len(cameras)
    latency = np.array([arrived - stamp for stamp, arrived in arrivals]) / 1e6
    found = [len(message.emotions) for message in client.emotions]
    return {
        "scenario": scenario.name,
        "images": images,
        "answered": len(arrivals),
        "dropped": images - len(arrivals),
        "persons_found": float(np.mean(found)),
        **{f"{share}_ms": float(np.quantile(latency, q)) for share, q in QUANTILES.items()},
        "cpu_ms": json.loads(account.read_text()),
        "memory_mb": end,
        "memory_growth_mb": end - memory,
        "start_to_active_s": start,
    }
