# SPDX-License-Identifier: Apache-2.0
"""Run a recording through the node's pipeline, without ROS running.

BAG is a rosbag2 folder, an .mcap, .db3 or ROS 1 .bag file, or a folder of bags: each of those gets
a folder of results, what is done already is passed over; index.html and bags.json sum them up.

exit status: 0 all expectations held; 1 one failed; 2 a bag or all of its images could not be run;
130 stopped by Ctrl-C
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from caer_ros.files import write_file, write_json
from caer_ros.node_settings import load_settings
from caer_ros.replay.bag import is_bag
from caer_ros.replay.batch import find_bags, replay_all, sum_up
from caer_ros.replay.expectations import Expectations
from caer_ros.replay.job import Job, ReplayError, replay
from caer_ros.replay.page import index_page
from caer_ros.settings import read_text
from caer_ros.text import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, metavar="BAG", help="a bag, or a folder of bags")
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        help="image topic to read, may be repeated; default: those of the config that are there, "
        "else all",
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the results; default: replay_out/, then BAG's name"
    )
    parser.add_argument("--config", type=Path, help="the node's parameter file (caer.yaml)")
    parser.add_argument(
        "--expect",
        type=Path,
        help="file of expectations to judge (docs/replay.md), beside the expect.yaml in a bag",
    )
    parser.add_argument(
        "--realtime", action="store_true", help="at the recorded pace, dropping as the node would"
    )
    parser.add_argument(
        "--with-images",
        action="store_true",
        help="write pictures: annotated images into the bag, small ones into the report",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="bags at a time, each in a process of its own"
    )
    parser.add_argument("--ray", metavar="ADDRESS", help="run the bags on this Ray cluster")


def main(args: argparse.Namespace) -> int:
    if args.jobs < 1:
        raise ReplayError(f"--jobs is {args.jobs}, the least is 1")
    if args.bag.is_file() and not is_bag(args.bag):
        raise ReplayError(
            f"{args.bag} is no bag; `caer watch {args.bag}` reads videos, pictures and cameras"
        )
    try:
        bags = find_bags(args.bag)
    except OSError as error:
        raise ReplayError(str(error)) from error
    common = ((str(args.expect), read_text(args.expect)),) if args.expect else ()
    job = Job(
        bag=args.bag,
        out=args.out or Path("replay_out") / args.bag.resolve().name,
        settings=load_settings(args.config),
        topics=tuple(args.topic),
        realtime=args.realtime,
        with_images=args.with_images,
    )
    jobs = [replace(job, bag=bag, out=job.out / bag.name) for bag in bags] or [job]
    jobs = [replace(job, expectations=(*common, *_own(job.bag))) for job in jobs]
    for one in jobs:
        # a mistake in them is told before any bag is run
        Expectations(one.expectations, realtime=one.realtime)
    if args.ray and not bags:
        raise ReplayError(f"--ray is for a folder of bags, {args.bag} is none")
    if not bags:
        summary = replay(jobs[0])
        _print(describe(summary))
        print(f"results: {job.out / 'report.html'}")
        return _status(summary)
    summaries = replay_all(jobs, args.jobs, args.ray)
    total = sum_up(summaries)
    job.out.mkdir(parents=True, exist_ok=True)
    write_json(job.out / "bags.json", total)
    links = {str(job.bag): f"{quote(job.out.name)}/report.html" for job in jobs}
    write_file(job.out / "index.html", index_page(summaries, links))
    _print(_describe_all(total))
    _print(f"results: {job.out / 'index.html'}")
    return max(map(_status, summaries))


def _own(bag: Path) -> tuple[tuple[str, str], ...]:
    """Return name and text of the expectations that lie in a bag's folder."""
    path = bag / "expect.yaml"
    return ((str(path), read_text(path)),) if path.is_file() else ()


def _print(text: str) -> None:
    """Print lines that hold names and words of bags and expectations."""
    print("\n".join(printable(line, limit=1000) for line in text.splitlines()))


def _status(summary: dict[str, Any]) -> int:
    if "error" in summary or (summary["complete"] and not summary["images"]["processed"]):
        return 2
    if not summary["complete"]:
        return 130
    return int(not all(verdict["held"] for verdict in summary["expectations"]))


def describe(summary: dict[str, Any]) -> str:
    """Return a summary as lines for the terminal."""
    images = summary["images"]
    lines = [
        f"{summary['bag']}: {summary['duration']:.1f} s in {summary['seconds']:.1f} s, "
        f"{summary['times_real_time']:g} times real time"
        + ("" if summary["complete"] else ", stopped early"),
        f"images: {_count(images)}; "
        + ", ".join(f"{name} {value:.1f} ms" for name, value in summary["latency_ms"].items()),
    ]
    if summary["nobody"]:
        lines.append(summary["nobody"])
    for name, person in summary["persons"].items():
        by_time = sorted(person["label_seconds"].items(), key=lambda item: -item[1])
        labels = ", ".join(f"{label} {seconds:.1f} s" for label, seconds in by_time)
        lines.append(f"{name}: {labels or 'one image'}; {person['label_changes']} label changes")
    if not summary["weights"]["trained"]:
        lines.append("warning: untrained weights (random initialisation): labels mean nothing")
    lines += [f"warning: {warning}" for warning in summary["warnings"]]
    lines += [_describe_verdict(verdict) for verdict in summary["expectations"]]
    return "\n".join(lines)


def _count(images: dict[str, Any]) -> str:
    failed = sum(images["failed"].values())
    return (
        f"{images['processed']} processed, {images['dropped']} dropped, {failed} failed, "
        f"{images['lost']} lost"
    )


def _describe_verdict(verdict: dict[str, Any]) -> str:
    return f"{'held  ' if verdict['held'] else 'FAILED'}  {verdict['text']}"


def _describe_all(total: dict[str, Any]) -> str:
    lines = [
        f"{total['bags']} bags, {60 * total['hours']:.1f} minutes, {total['persons']} persons",
        *(
            f"  {label:<10} {minutes:6.1f} person-minutes an hour"
            for label, minutes in total["person_minutes_per_hour"].items()
        ),
        "slowest:",
        *(
            f"  {bag['times_real_time']:6.2f} times real time  {bag['bag']}"
            for bag in total["slowest"]
        ),
    ]
    lines += [f"{bag}: {_count(images)}" for bag, images in total["losses"].items()]
    lines += [f"stopped early: {bag}" for bag in total["incomplete"]]
    lines += [f"FAILED  {v['bag']}: {v['text']}" for v in total["failed_expectations"]]
    lines += [f"error: {error}" for error in total["errors"].values()]
    return "\n".join(lines)
