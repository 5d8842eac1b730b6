# SPDX-License-Identifier: Apache-2.0
"""The node under changing crowds, sizes, cameras and lifecycle cycles for hours, and what leaks.

    .venv/bin/python benchmarks/soak.py                # 15 minutes
    .venv/bin/python benchmarks/soak.py --minutes 1440

Two cameras come and go, each with 0 to 8 people in images of three sizes. Every few episodes the
node is deactivated, cleaned up and brought back. Printed are the balance of all images, the slopes
of memory, handles and threads over the second half, and the latency of the first and last third.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from lifecycle_msgs.msg import Transition

from caer_ros.benchmark.camera import TOPIC, publish
from caer_ros.benchmark.pipeline import resident_memory
from caer_ros.demo.material import fetch_material
from caer_ros.messages import to_nanoseconds
from caer_ros.msg import EmotionArray
from caer_ros.ros.client import (
    Client,
    NodeError,
    Process,
    enter_own_graph,
    fast_dds_profile,
    node_command,
)

TOPICS = (TOPIC, "/second/image_raw")
SIZES = ((640, 480), (320, 240), (1280, 720))
RATE = 15
EPISODE = 8.0
"""Seconds that a camera stays."""
CYCLE_EVERY = 3
"""Episodes from one lifecycle cycle to the next."""
COUNTS = ("received", "processed", "dropped", "errors")
DOWN = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)
    # end as after Ctrl-C, so that the node is ended too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    material = fetch_material()
    enter_own_graph()
    latencies: list[float] = []
    samples: list[tuple[float, float, int, int]] = []
    balance: Counter[str] = Counter()

    def hear(message: EmotionArray) -> None:
        latencies.append((time.time_ns() - to_nanoseconds(message.header.stamp)) / 1e6)

    parameters = ["-p", f"image_topics:=[{', '.join(TOPICS)}]", "-p", "diagnostics_period:=0.2"]
    with (
        tempfile.TemporaryDirectory(prefix="caer_soak_") as folder,
        Process(node_command(*parameters), Path(folder) / "node.log") as node,
        fast_dds_profile(),
        Client(on_emotions=hear) as client,
    ):
        try:
            client.activate(node)
            end = time.monotonic() + 60 * arguments.minutes
            episode = sent = 0
            while time.monotonic() < end:
                episode += 1
                sent += film(client, node, choose, material)
                client.emotions.clear()  # the latencies are all that is wanted of them
                samples.append((time.monotonic(), *resources(node.pid)))
                if episode % CYCLE_EVERY == 0:
                    balance += cycle(client, node)
            balance += cycle(client, node)
        except NodeError:
            print(node.output[-2000:], file=sys.stderr)
            raise
    print(f"seed {arguments.seed}, {episode} episodes, {sent} images sent")
    print("balance: " + ", ".join(f"{balance[name]} {name}" for name in COUNTS))
    missing = balance["received"] - sum(balance[name] for name in COUNTS[1:])
    print(f"received, but in no other count: {missing}")
    times, *columns = np.array(samples[len(samples) // 2 :]).T
    for name, values in zip(("memory MB", "handles", "threads"), columns, strict=True):
        slope, error = slope_per_hour(times, values)
        print(
            f"{name}: {values.min():.0f} to {values.max():.0f} in the second half, "
            f"{slope:+.1f}/h, standard error {error:.1f}"
        )
    third = max(1, len(latencies) // 3)
    for name, part in (("first", latencies[:third]), ("last", latencies[-third:])):
        p50, p95, p99 = np.quantile(part, (0.5, 0.95, 0.99))
        print(f"latency, {name} third: p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms")
    return 1 if missing else 0


def slope_per_hour(times: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return slope and its standard error, NaN where there are too few values for one."""
    if len(times) < 5:
        return float("nan"), float("nan")
    (slope, _), covariance = np.polyfit(times - times[0], values, 1, cov=True)
    return slope * 3600, float(np.sqrt(covariance[0, 0])) * 3600


def film(client: Client, node: Process, choose: random.Random, material: Path) -> int:
    """Let one or both cameras publish for an episode; return the number of images sent."""
    topics = choose.sample(TOPICS, choose.choice((1, 2)))
    frames = round(EPISODE * RATE)
    cameras = []
    for topic in topics:
        width, height = choose.choice(SIZES)
        people = choose.randint(1, 8)
        cameras.append(
            multiprocessing.get_context("spawn").Process(
                target=publish,
                args=(material, width, height, people, RATE, frames, topic),
                daemon=True,
            )
        )
    for camera in cameras:
        camera.start()
    client.spin(lambda: not any(c.is_alive() for c in cameras), "hear all", node, 120)
    return frames * len(topics)


def resources(pid: int) -> tuple[float, int, int]:
    """Return a process's resident memory in MB, open handles and threads."""
    process = Path(f"/proc/{pid}")
    handles = len(list((process / "fd").iterdir()))
    return resident_memory(pid), handles, len(list((process / "task").iterdir()))


def cycle(client: Client, node: Process) -> Counter[str]:
    """Take the node down, return its counts since the last time, and bring it back."""
    client.change_state(DOWN[0], process=node)
    client.diagnostics.clear()
    client.spin(lambda: client.values().get("state") == "inactive", "report", node)
    counts = Counter({name: int(client.values()[name]) for name in COUNTS})
    client.change_state(DOWN[1], process=node)
    client.activate(node)
    return counts


if __name__ == "__main__":
    raise SystemExit(main())
