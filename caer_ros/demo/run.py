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

import rclpy
from ament_index_python import get_package_prefix
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from caer_ros.demo.listener import DemoError, Listener
from caer_ros.demo.material import VIDEO, fetch_material
from caer_ros.demo.processes import enter_own_graph, fast_dds_profile, running
from caer_ros.msg import Emotion as EmotionMessage
from caer_ros.msg import EmotionArray
from caer_ros.replay.bag import Bag
from caer_ros.replay.make_bag import make_bag
from caer_ros.replay.timeline import TimelineWriter, rows
from caer_ros.types import SECOND, Emotion, Face, FrameResult, Reading
from caer_ros.viewer.pictures import AnnotatedVideo, Timeline, draw_timeline

TOPIC = "/camera/image_raw"

ENOUGH = 0.9
"""Share of the images for which emotions must have come."""

PATIENCE = 3.0
"""Seconds to wait for the last messages once the bag has been played."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo_out"),
        help="folder for demo_bag/, timeline.csv, timeline.png, annotated.webm (%(default)s)",
    )


def main(args: argparse.Namespace) -> int:
    # end as after Ctrl-C, so that the other processes are ended too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    video = fetch_material() / VIDEO
    bag = args.out / "demo_bag"
    if bag.exists():
        shutil.rmtree(bag)
    frames = make_bag(video, bag, topic=TOPIC)
    messages, status = perceive(bag.resolve(), frames)

    results = [to_result(message) for message in messages]
    timeline = {result.stamp: result.readings for result in results}
    untrained = status["trained"].startswith("no")
    network = "{weights} on {engine} ({device}, {precision})".format_map(status)
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
        DemoError: with the end of their logs, where node or player fail.
    """
    enter_own_graph()
    prefix = Path(get_package_prefix("caer_ros"))
    config = prefix / "share" / "caer_ros" / "config"
    node_command = [str(prefix / "lib" / "caer_ros" / "caer_node"), "--ros-args"]
    node_command += ["--remap", f"image:={TOPIC}", "--params-file", str(config / "caer.yaml")]
    # fixed letters, so that two demos print the same
    node_command += ["-p", "tracker.id_prefix:=p"]
    player_command = [str(prefix / "bin" / "caer"), "play", str(bag)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="caer_demo_")))
        node_log, player_log = folder / "node.log", folder / "player.log"
        node = stack.enter_context(running(node_command, node_log))
        stack.enter_context(fast_dds_profile())  # the node does without, as on a robot
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(rclpy.try_shutdown)
        bar = stack.enter_context(tqdm(total=frames, desc="demo", unit=" images", disable=None))
        listener = Listener(lambda _: bar.update(), _print_change)
        try:
            alive = lambda: node.poll() is None  # noqa: E731
            listener.activate_node(alive)
            tqdm.write(f"{'stamp':>8}  person  label      confidence  face  scene")
            player = stack.enter_context(running(player_command, player_log))
            listener.spin_until(lambda: player.poll() is not None, alive, "hear the bag out", 600)
            if player.returncode:
                raise DemoError(f"the player ended with status {player.returncode}")
            end = time.monotonic() + PATIENCE
            while len(listener.messages) < frames and time.monotonic() < end:
                rclpy.spin_once(listener, timeout_sec=0.1)
            if not listener.messages:
                raise DemoError("no emotions were heard")
            listener.status.clear()
            listener.spin_until(lambda: bool(listener.status), alive, "report", 5.0)
        except DemoError as error:
            logs = [line for log in (node_log, player_log) for line in _tail(log)]
            raise DemoError("\n".join([str(error), *logs])) from error
        return listener.messages, listener.status


def _write_video(bag: Path, timeline: Timeline, path: Path) -> None:
    """Write the bag's images, each with the readings of its stamp."""
    with Bag(bag) as recording, AnnotatedVideo(path) as video:
        for image in recording.images([TOPIC]):
            video.write(image.to_bgr(), timeline.get(image.stamp, ()), image.stamp)


def _tail(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []


def _print_change(message: EmotionArray, emotion: EmotionMessage) -> None:
    tqdm.write(
        f"{stamp_of(message) / SECOND:7.3f}s  {emotion.person_id:6}  {emotion.label:9}  "
        f"{emotion.confidence:10.2f}  {emotion.face_weight:4.2f}  {emotion.context_weight:5.2f}"
    )


def stamp_of(message: EmotionArray) -> int:
    """Return the image's stamp in ns."""
    return int(message.header.stamp.sec) * SECOND + int(message.header.stamp.nanosec)


def to_result(message: EmotionArray) -> FrameResult:
    """Return a message as the pipeline's own type."""
    return FrameResult(
        camera=message.camera,
        stamp=stamp_of(message),
        width=message.image_width,
        height=message.image_height,
        readings=tuple(_to_reading(emotion) for emotion in message.emotions),
    )


def _to_reading(emotion: EmotionMessage) -> Reading:
    face = emotion.face
    return Reading(
        person_id=emotion.person_id,
        face=Face(
            x1=face.x_offset,
            y1=face.y_offset,
            x2=face.x_offset + face.width,
            y2=face.y_offset + face.height,
            score=emotion.detection_score,
        ),
        emotion=Emotion(emotion.emotion),
        confidence=emotion.confidence,
        probabilities=tuple(emotion.probabilities.tolist()),
        face_weight=emotion.face_weight,
        context_weight=emotion.context_weight,
        frames=emotion.frames,
        clip_duration=emotion.clip_duration.sec * SECOND + emotion.clip_duration.nanosec,
        since=emotion.since.sec * SECOND + emotion.since.nanosec,
        detected=emotion.detected,
        bearing=(emotion.bearing.x, emotion.bearing.y, emotion.bearing.z),
    )


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
        f"images    {frames} played, {status['received']} received, "
        f"{status['processed']} processed, {status['dropped']} dropped",
        f"answers   {len(timeline)} messages, {answered} with emotions",
        f"latency   p50 {status['handling p50 (ms)']} ms, p95 {status['handling p95 (ms)']} ms "
        "from image received to emotions sent",
        f"persons   {len(held)}",
    ]
    for person, labels in sorted(held.items()):
        times = ", ".join(f"{label} {n * period:.1f} s" for label, n in labels.most_common())
        lines.append(f"{person:8}  {times}")
    return "\n".join(lines)
