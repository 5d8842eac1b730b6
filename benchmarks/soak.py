# SPDX-License-Identifier: Apache-2.0
"""The node under changing crowds, sizes, cameras and lifecycle cycles for hours, and what leaks.

    .venv/bin/python benchmarks/soak.py                # 15 minutes
    .venv/bin/python benchmarks/soak.py --minutes 1440
    .venv/bin/python benchmarks/soak.py --images 100000 --cycles 200

Two cameras come and go, each with 0 to 8 people in images of three sizes. Every few episodes the
node is deactivated, cleaned up and brought back. With `--images` they are small, sent as fast as
the node answers, now and then three at once or one that is none, and the node is deactivated while
it reads. Printed are the balance of all images, the slopes of memory, handles and threads over the
second half, and the latency of the first and last third.
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
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from caer_ros.arguments import whole_number
from caer_ros.benchmark.camera import TOPIC, publish
from caer_ros.benchmark.pipeline import resident_memory
from caer_ros.benchmark.scenes import compose, load_people
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
from caer_ros.ros.conversions import to_header, to_image

TOPICS = (TOPIC, "/second/image_raw")
SIZES = ((640, 480), (320, 240), (1280, 720))
SMALL_SIZES = ((160, 120), (240, 180), (320, 240))
"""Of `--images`."""
MOST_PEOPLE = 8
RATE = 15
EPISODE = 8.0
"""Seconds that a camera stays."""
CYCLE_EVERY = 3
"""Episodes from one lifecycle cycle to the next."""
CHANGE = 0.03
"""How often who is seen changes between two of `--images`."""
UNUSUAL = 0.01
"""How many of `--images` come as three at once, and how many are none."""
LOST = 1.0
"""Seconds after which one of `--images` is not waited for any more."""
SAY_EVERY = 10
"""Episodes from one line about how far it is to the next."""
COUNTS = ("received", "processed", "dropped", "errors")
DOWN = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--images", type=whole_number(1), help="instead of minutes")
    parser.add_argument(
        "--cycles", type=whole_number(1), default=200, help="lifecycle cycles among --images"
    )
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

    def note(message: EmotionArray) -> None:
        latencies.append((time.time_ns() - to_nanoseconds(message.header.stamp)) / 1e6)

    parameters = ["-p", f"image_topics:=[{', '.join(TOPICS)}]", "-p", "diagnostics_period:=0.2"]
    with (
        tempfile.TemporaryDirectory(prefix="caer_soak_") as folder,
        Process(node_command(*parameters), Path(folder) / "node.log") as node,
        fast_dds_profile(),
        Client(on_emotions=note) as client,
    ):
        try:
            client.activate(node)
            if arguments.images:
                cycles = arguments.cycles
                episodes = hurry(client, node, choose, material, arguments.images, cycles)
            else:
                end = time.monotonic() + 60 * arguments.minutes
                going = iter(lambda: time.monotonic() < end, False)
                episodes = (film(client, node, choose, material) for _ in going)
            cycle_every = 1 if arguments.images else CYCLE_EVERY
            episode = sent = 0
            for count in episodes:
                episode, sent = episode + 1, sent + count
                client.emotions.clear()  # the latencies are all that is wanted of them
                samples.append((time.monotonic(), *resources(node.pid)))
                if episode % cycle_every == 0:
                    balance += cycle(client, node)
                if episode % SAY_EVERY == 0:
                    print(f"{sent} images sent, {samples[-1][1]:.0f} MB", flush=True)
            balance += cycle(client, node)
        except NodeError:
            print(node.output[-2000:], file=sys.stderr)
            raise
    print(f"seed {arguments.seed}, {episode} episodes, {sent} images sent")
    print(f"lost on the way: {sent - balance['received']}")
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
        people = choose.randint(0, MOST_PEOPLE)
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


def hurry(
    client: Client,
    node: Process,
    choose: random.Random,
    material: Path,
    images: int,
    episodes: int,
) -> Iterator[int]:
    """Publish small images, each when the one before it is answered, in so many episodes.

    Yields their number, before the answer to the last ones.
    """
    people = load_people(material)
    crowds = [
        [to_image(frame, 0, "camera") for frame in compose(people, *size, persons)]
        for size in SMALL_SIZES
        for persons in range(MOST_PEOPLE + 1)
    ]
    none = Image(encoding="none", width=1, height=1, step=1)
    cameras = {t: client.node.create_publisher(Image, t, QoSProfile(depth=1)) for t in TOPICS}
    sent = 0
    for episode in range(1, episodes + 1):
        client.spin(
            lambda: all(c.get_subscription_count() for c in cameras.values()), "subscribe", node
        )
        before = sent
        seen: dict[str, list[Image]] = {}
        awaited: set[int] = set()
        while sent < images * episode // episodes:
            hear(client, node, awaited)
            awaited = set()
            if not seen or choose.random() < CHANGE:
                topics = choose.sample(TOPICS, choose.choice((1, 2)))
                seen = {topic: choose.choice(crowds) for topic in topics}
            for topic, crowd in seen.items():
                message = none if choose.random() < UNUSUAL else crowd[sent % len(crowd)]
                for _ in range(3 if choose.random() < UNUSUAL else 1):
                    now = time.time_ns()
                    message.header = to_header(now, "camera")
                    cameras[topic].publish(message)
                    sent += 1
                if message is not none:
                    awaited.add(now)
        yield sent - before


def hear(client: Client, node: Process, stamps: set[int]) -> None:
    """Wait until the images of these stamps are answered, or one of them seems to be lost."""
    end = time.monotonic() + LOST

    def done() -> bool:
        heard = {to_nanoseconds(message.header.stamp) for message in client.emotions}
        return stamps <= heard or time.monotonic() > end

    client.spin(done, "answer", node)
    client.emotions.clear()


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
