# SPDX-License-Identifier: Apache-2.0
"""Send a video through the real node and show what a robot would have perceived.

The video becomes a bag; one process plays it at real speed, a second is the node, and this one
hears the emotions over DDS as a robot's behaviour code would. The exit status is 0 only if
emotions came for at least 90 % of the images.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from caer_ros.demo.material import VIDEO, fetch_material
from caer_ros.messages import from_message
from caer_ros.msg import EmotionArray
from caer_ros.paths import share_folder
from caer_ros.replay.bag import Bag
from caer_ros.replay.make_bag import make_bag
from caer_ros.replay.timeline import TimelineWriter, rows
from caer_ros.ros.client import (
    Client,
    NodeError,
    Process,
    enter_own_graph,
    fast_dds_profile,
    node_command,
)
from caer_ros.ros.counts import DROPPED, HANDLING_P50, HANDLING_P95, PROCESSED, RECEIVED
from caer_ros.ros.health import DEVICE, ENGINE, PRECISION, TRAINED, UNTRAINED, WEIGHTS
from caer_ros.types import SECOND, CaerError, Emotion
from caer_ros.viewer.pictures import AnnotatedVideo, Timeline, draw_timeline
from caer_ros.viewer.run import HEADER, describe_change

TOPIC = "/camera/image_raw"

ENOUGH = 0.9
"""Share of the images for which emotions must have come."""

PATIENCE = 3.0
"""Seconds to wait for the last messages once the bag has been played."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo_out"),
        help="folder for demo_bag/, timeline.csv, timeline.png, annotated.webm (%(default)s)",
    )


def main(args: argparse.Namespace) -> int:
    if args.video:
        raise CaerError(
            f"the demo plays its own video; `caer watch {args.video}` reads yours, "
            f"`caer watch {args.video} --out DIR --with-images` leaves an annotated one"
        )
    # end as after Ctrl-C, so that the other processes are ended too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    video = fetch_material() / VIDEO
    bag = args.out / "demo_bag"
    if bag.exists():
        shutil.rmtree(bag)
    frames = make_bag(video, bag, topic=TOPIC)
    messages, status = perceive(bag.resolve(), frames)

    results = [from_message(message) for message in messages]
    timeline = {result.stamp: result.readings for result in results}
    untrained = status[TRAINED] == UNTRAINED
    network = f"{status[WEIGHTS]} on {status[ENGINE]} ({status[DEVICE]}, {status[PRECISION]})"
    network += ": UNTRAINED, the labels mean nothing" if untrained else ""
    with TimelineWriter(args.out / "timeline.csv", untrained) as writer:
        for result in results:
            for row in rows(result):
                writer.write(row)
    draw_timeline(timeline, f"Emotions read by {network}").savefig(args.out / "timeline.png")
    _write_video(bag, timeline, args.out / "annotated.webm")
    answered = sum(bool(readings) for readings in timeline.values())
    print(summarize(timeline, frames, answered, network, status))
    print(f"Look at {args.out}/timeline.png, annotated.webm, timeline.csv and demo_bag/.")
    print(f"The same for your own camera or video: {_caer()} watch 0, {_caer()} watch my.mp4")
    if answered >= ENOUGH * frames:
        return 0
    print(
        f"Emotions came for {answered} of {frames} images, less than {ENOUGH:.0%}: "
        "is the machine too slow, or busy with something else?",
        file=sys.stderr,
    )
    return 1


def perceive(bag: Path, frames: int) -> tuple[list[EmotionArray], dict[str, str]]:
    """Play the bag to a node; return the messages heard and the node's last diagnostics.

    Node, player and this process are a ROS graph of their own, confined to this machine.

    Raises:
        NodeError: with the end of their logs, where node or player fail.
    """
    enter_own_graph()
    config = share_folder() / "config" / "caer.yaml"
    command = node_command("--remap", f"image:={TOPIC}", "--params-file", str(config))
    # fixed letters, so that two demos print the same
    command += ["-p", "tracker.id_prefix:=p"]
    player_command = [sys.executable, "-m", "caer_ros.cli", "play", str(bag)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="caer_demo_")))
        node_log, player_log = folder / "node.log", folder / "player.log"
        node = stack.enter_context(Process(command, node_log))
        stack.enter_context(fast_dds_profile())  # the node does without, as on a robot
        bar = stack.enter_context(tqdm(total=frames, desc="demo", unit=" images", disable=None))
        changes = _Changes()

        def hear(message: EmotionArray) -> None:
            bar.update()
            changes.print(message)

        client = stack.enter_context(Client(on_emotions=hear))
        try:
            client.activate(node)
            tqdm.write(HEADER)
            player = stack.enter_context(Process(player_command, player_log))
            client.spin(lambda: player.status is not None, "hear the bag out", node, 600)
            if player.status:
                raise NodeError(f"the player ended with status {player.status}")
            end = time.monotonic() + PATIENCE
            client.spin(
                lambda: len(client.emotions) >= frames or time.monotonic() > end, "answer", node
            )
            if not client.emotions:
                raise NodeError("no emotions were heard")
            client.diagnostics.clear()
            client.spin(client.values, "report", node)
        except NodeError as error:
            logs = [line for log in (node_log, player_log) for line in _tail(log)]
            raise NodeError("\n".join([str(error), *logs])) from error
        return client.emotions, client.values()


def _write_video(bag: Path, timeline: Timeline, path: Path) -> None:
    """Write the bag's images, each with the readings of its stamp."""
    with Bag(bag) as recording, AnnotatedVideo(path) as video:
        for image in recording.images([TOPIC]):
            video.write(image.to_bgr(), timeline.get(image.stamp, ()), image.stamp)


def _tail(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []


class _Changes:
    """Prints a line for every person whose label is new."""

    def __init__(self) -> None:
        self._labels: dict[str, Emotion] = {}

    def print(self, message: EmotionArray) -> None:
        result = from_message(message)
        for reading in result.readings:
            if self._labels.get(reading.person_id) != reading.emotion:
                self._labels[reading.person_id] = reading.emotion
                tqdm.write(describe_change(result.stamp, reading))


def _caer() -> str:
    """Return the command as the caller can type it: in a virtual environment with its folder."""
    if shutil.which("caer"):
        return "caer"
    program = Path(sys.executable).with_name("caer")
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)


def summarize(
    timeline: Timeline, frames: int, answered: int, network: str, status: dict[str, str]
) -> str:
    """Return the closing lines: frames, latency, persons, and how long each label held."""
    period = (max(timeline) - min(timeline)) / SECOND / max(1, len(timeline) - 1)
    if not any(reading.context_weight for readings in timeline.values() for reading in readings):
        network += "; it reads faces only, not the scene"
    held: dict[str, Counter[str]] = {}
    for readings in timeline.values():
        for reading in readings:
            held.setdefault(reading.person_id, Counter())[reading.emotion.label] += 1
    lines = [
        network,
        f"images    {frames} played, {status[RECEIVED]} received, "
        f"{status[PROCESSED]} processed, {status[DROPPED]} dropped",
        f"answers   {len(timeline)} messages, {answered} with emotions",
        f"latency   p50 {status[HANDLING_P50]} ms, p95 {status[HANDLING_P95]} ms "
        "from image received to emotions sent",
        f"persons   {len(held)}",
    ]
    for person, labels in sorted(held.items()):
        times = ", ".join(f"{label} {n * period:.1f} s" for label, n in labels.most_common())
        lines.append(f"{person:8}  {times}")
    return "\n".join(lines)
