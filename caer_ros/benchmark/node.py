# SPDX-License-Identifier: Apache-2.0
"""The real node over DDS: a camera process, the node's process, and a listener."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from rclpy.signals import SignalHandlerOptions

from caer_ros.benchmark import account as account_module
from caer_ros.benchmark.camera import TOPIC, publish
from caer_ros.benchmark.contest import BenchmarkError
from caer_ros.benchmark.pipeline import QUANTILES, RATE, Scenario, resident_memory
from caer_ros.demo.listener import DemoError, Listener
from caer_ros.demo.processes import enter_own_graph, fast_dds_profile, running
from caer_ros.msg import Emotion as EmotionMessage
from caer_ros.msg import EmotionArray
from caer_ros.types import SECOND


def measure_node(
    scenario: Scenario, material: Path, seconds: float, folder: Path
) -> dict[str, Any]:
    """Let a camera publish at `RATE` for so long and measure the node; needs a fresh process.

    `dropped` counts images that got no answer, lost on the way ones too; latency is from the
    image's stamp, set when it was published, to the arrival of its emotions here; `cpu_ms` is that
    of `AccountingPipeline` in the node's process.

    Raises:
        BenchmarkError: where node or camera fail.
    """
    enter_own_graph()
    parameters = folder / "parameters.yaml"
    parameters.write_text(yaml.safe_dump({"/**": {"ros__parameters": scenario.parameters}}))
    account = folder / "account.json"
    # this very caer_ros, also where the working directory is a checkout without built messages
    origin = str(Path(account_module.__file__).parents[2])
    code = f"import sys; sys.path[0] = {origin!r}; import {account_module.__name__} as a; a.main()"
    node_command = [sys.executable, "-c", code, str(account), "--ros-args"]
    node_command += ["--remap", f"image:={TOPIC}", "--params-file", str(parameters)]
    frames = round(seconds * RATE)
    camera = multiprocessing.get_context("spawn").Process(
        target=publish,
        args=(material, scenario.width, scenario.height, scenario.persons, RATE, frames),
        daemon=True,
    )
    log = folder / "node.log"
    arrivals: list[tuple[int, int]] = []

    def note(message: EmotionArray) -> None:
        stamp = message.header.stamp
        arrivals.append((stamp.sec * SECOND + stamp.nanosec, time.time_ns()))

    with ExitStack() as stack:
        started = time.monotonic()
        node = stack.enter_context(running(node_command, log))
        stack.enter_context(fast_dds_profile())  # the node does without, as on a robot
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(rclpy.try_shutdown)
        listener = Listener(note, _ignore)
        alive = lambda: node.poll() is None  # noqa: E731
        try:
            listener.activate_node(alive)
            start = time.monotonic() - started
            camera.start()
            listener.spin_until(lambda: bool(arrivals), alive, "answer the first image", 60)
            memory = resident_memory(node.pid)
            listener.spin_until(lambda: not camera.is_alive(), alive, "hear all", 600)
        except DemoError as error:
            tail = log.read_text(errors="replace")[-2000:]
            raise BenchmarkError(f"{error}\n{tail}") from error
        end = resident_memory(node.pid)
    if camera.exitcode:
        raise BenchmarkError(f"the camera ended with status {camera.exitcode}")
    latency = np.array([arrived - stamp for stamp, arrived in arrivals]) / 1e6
    found = [len(message.emotions) for message in listener.messages]
    return {
        "scenario": scenario.name,
        "images": frames,
        "answered": len(arrivals),
        "dropped": frames - len(arrivals),
        "persons_found": float(np.mean(found)),
        **{f"{share}_ms": float(np.quantile(latency, q)) for share, q in QUANTILES.items()},
        "cpu_ms": json.loads(account.read_text()),
        "memory_mb": end,
        "memory_growth_mb": end - memory,
        "start_to_active_s": start,
    }


def _ignore(message: EmotionArray, emotion: EmotionMessage) -> None:
    pass
