# SPDX-License-Identifier: Apache-2.0
"""Read the emotions of the people in a camera, a video, a picture or a bag, without ROS.

SOURCE is a camera's number (0) or device (/dev/video0), the address of a stream (rtsp://, http://),
a video, a picture, a folder of pictures, or a bag. Every change of a label is printed as it
happens. Of a camera the newest image is read, and when it goes away it is waited for; of all else
every image. In one picture everybody is read at once.

Nothing is written unless --out says so, and pictures of people only with --with-images.

exit status: 0 done, a camera also by Ctrl-C; 2 nothing could be read; 130 stopped by Ctrl-C
"""

from __future__ import annotations

import argparse
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from caer_ros.node_settings import load_settings
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.perception.tracker import person_ids
from caer_ros.replay.job import Nobody, stop_on_interrupt, summarize
from caer_ros.replay.run import describe
from caer_ros.replay.stream import Clock, Image, Sink
from caer_ros.replay.tally import Tally
from caer_ros.text import printable
from caer_ros.types import SECOND, CaerError, Frame, Reading
from caer_ros.viewer.results import Results
from caer_ros.viewer.source import Source, open_source

if TYPE_CHECKING:
    from caer_ros.viewer.server import LivePage

HEADER = "    time  person  label      confidence  face  scene"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="what to read, see above")
    parser.add_argument(
        "--out", type=Path, help="folder for timeline.csv, timeline.png and report.html"
    )
    parser.add_argument(
        "--with-images",
        action="store_true",
        help="write pictures too: annotated.webm, and small ones into the report",
    )
    parser.add_argument(
        "--serve",
        nargs="?",
        const="8080",
        metavar="[HOST:]PORT",
        help="show it live on a page, on 127.0.0.1 unless a host is named (port: %(const)s)",
    )
    parser.add_argument(
        "--fps", type=float, help="images a second of a video or folder, for its own time"
    )
    parser.add_argument("--config", type=Path, help="the node's parameter file (caer.yaml)")
    parser.add_argument("--weights", help="weights to read with, for those of the config")


def main(args: argparse.Namespace) -> int:
    if args.fps is not None and not 0 < args.fps < math.inf:
        raise CaerError(f"--fps is {args.fps}, it must be above 0 and finite")
    if args.with_images and not args.out:
        raise CaerError("--with-images writes pictures into the folder that --out names; name one")
    settings: PipelineSettings = load_settings(args.config)
    if args.weights:
        settings = replace(settings, engine=replace(settings.engine, weights=args.weights))
    # what ends a service, or closes its terminal, ends as Ctrl-C does, and loses nothing
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _end)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(args.source, args.fps, _tell))
        if source.length == 1:
            settings = replace(settings, tracker=replace(settings.tracker, birth=0.0))
        ids = person_ids(settings.tracker.id_prefix or "p")
        pipeline = EmotionPipeline.from_settings(settings, ids)
        stack.callback(pipeline.close)
        sinks: list[Sink] = []
        results = None
        if args.out:
            results = Results(args.out, source, pipeline, args.with_images)
            sinks.append(stack.enter_context(results))
        page = None
        if args.serve:
            from caer_ros.viewer.server import LivePage  # only here is aiohttp needed

            host, port = _address(args.serve)
            page = LivePage(host, port, source.name, source.live, pipeline)
            sinks.append(stack.enter_context(page))
            print(f"Look at {page.url}", flush=True)
        summary = watch(source, pipeline, sinks, page)
        if results and summary["images"]["processed"]:
            results.conclude(summary)
    print("\n".join(printable(line, 1000) for line in describe(summary).splitlines()))
    if args.out:
        print(f"Look at {args.out / 'report.html'}.")
    if not summary["images"]["processed"]:
        return 2
    return 0 if summary["complete"] else 130


def watch(
    source: Source,
    pipeline: EmotionPipeline,
    sinks: Sequence[Sink],
    page: LivePage | None = None,
) -> dict[str, Any]:
    """Read all frames, hand the answers to the sinks and print every change; return a summary.

    Ctrl-C ends it after the frame at work. With a page, which may pause it, a recording goes by
    at its own pace and stays on the page until Ctrl-C.
    """
    clock = Clock(round(pipeline.settings.tracker.death * SECOND))
    tally, nobody = Tally(), Nobody(pipeline)
    began = time.monotonic()
    bar = tqdm(total=source.length, desc="watch", unit=" images", disable=None)
    with bar, stop_on_interrupt(source.stopped) as stopped:
        tqdm.write(HEADER)
        for frame in _in_real_time(source) if page and not source.live else source:
            if page:
                page.wait_while_paused(source.stopped)
            taken = time.monotonic()
            [result] = pipeline.process([frame])
            behind = Image(frame.stamp, "", frame.image)
            step = clock.step(result, behind, time.monotonic() - taken)
            for change in step.changes:
                tqdm.write(describe_change(step.time, change.reading))
            for sink in (tally, nobody, *sinks):
                sink.take(step)
            bar.update()
            if stopped():
                break
        seconds = time.monotonic() - began
        complete = source.live or not stopped()
        if page and complete and not source.live:
            page.end()
            tqdm.write("That was all; Ctrl-C ends")
            # a signal just before the wait, or in another thread, does not end one without limit
            while not source.stopped.wait(0.5):
                pass
    tally.dropped = source.dropped
    return summarize(source.name, pipeline, clock, tally, seconds) | {
        "complete": complete,
        "topics": {},
        "realtime": source.live,
        "warnings": [*source.notes, *clock.warnings],
        "nobody": nobody.reason(),
    }


def _in_real_time(source: Source) -> Iterator[Frame]:
    """Yield frames no faster than their stamps; what is late, or was paused, is not caught up."""
    due = last = None
    for frame in source:
        now = time.monotonic()
        if due is not None and last is not None:
            due = max(due + (frame.stamp - last) / SECOND, now - 0.1)
            source.stopped.wait(max(0.0, min(due - now, 5.0)))
        due, last = due or now, frame.stamp
        if source.stopped.is_set():
            return
        yield frame


def _address(text: str) -> tuple[str, int]:
    """Return host and port of `[HOST:]PORT`."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise CaerError(f"--serve is {text!r}, expected a port such as 8080, or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def describe_change(time: int, reading: Reading) -> str:
    """Return the line for a new label at a time in ns; `HEADER` stands above such lines."""
    return (
        f"{time / SECOND:7.3f}s  {reading.person_id:6}  {reading.emotion.label:9}  "
        f"{reading.confidence:10.2f}  {reading.face_weight:4.2f}  {reading.context_weight:5.2f}"
    )


def _end(number: int, _: object) -> None:
    # a terminal that closes says so twice, and a second Ctrl-C would interrupt
    signal.signal(number, signal.SIG_IGN)
    signal.raise_signal(signal.SIGINT)


def _tell(line: str) -> None:
    tqdm.write(printable(line))
