# SPDX-License-Identifier: Apache-2.0
"""Many bags: one job each, by processes on this machine or by Ray on several."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from caer_ros.replay.bag import is_bag
from caer_ros.replay.job import Job, ReplayError, replay
from caer_ros.types import CaerError
from caer_ros.video import natural

_SLOWEST = 5


def find_bags(path: Path) -> list[Path]:
    """Return the bags in a folder, in natural order; none where it is itself a bag, or a file."""
    if not path.is_dir() or is_bag(path):
        return []
    return sorted(filter(is_bag, path.iterdir()), key=natural)


def replay_all(jobs: Sequence[Job], processes: int, ray: str | None) -> list[dict[str, Any]]:
    """Run jobs and return their summaries, in their order.

    What an earlier run has done completely is not done again. A bag that cannot be run gets
    `{"bag": …, "error": …}` and does not stop the others; nor does Ctrl-C lose what is done.

    Raises:
        ReplayError: where `ray`, the address of a cluster, is given and cannot be used.
    """
    found: dict[int, dict[str, Any]] = {}
    answers = _on_ray(jobs, ray) if ray else _on_processes(dict(enumerate(jobs)), processes)
    try:
        for index, summary in tqdm(answers, "bags", len(jobs), unit=" bags", disable=None):
            found[index] = summary
    except KeyboardInterrupt:
        pass
    return [found.get(index) or _not_begun(job) for index, job in enumerate(jobs)]


def _not_begun(job: Job) -> dict[str, Any]:
    return {"bag": str(job.bag), "error": f"{job.bag}: stopped before it was begun"}


_stopped = threading.Event()
"""Set in a process whose job Ctrl-C has ended: the pool has queued further ones for it."""


def _attempt(job: Job) -> dict[str, Any]:
    if _stopped.is_set():
        return _not_begun(job)
    try:
        summary = job.done() or replay(job, show_progress=False)
        if not summary["complete"]:
            _stopped.set()
        return summary
    except CaerError as error:
        return {"bag": str(job.bag), "error": str(error)}
    # a bag that breaks the program must not stop the others
    except Exception as error:
        return {"bag": str(job.bag), "error": f"{type(error).__name__}: {error}"}


def _on_processes(jobs: Mapping[int, Job], processes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    # a fresh interpreter each: forked threads of OpenVINO and OpenCV hang
    context = get_context("spawn")
    turn = context.Value("i", 0)
    processes = min(processes, len(jobs))
    lost = []
    with ProcessPoolExecutor(processes, context, _settle, (turn, processes)) as pool:
        futures = {pool.submit(_attempt, job): index for index, job in jobs.items()}
        try:
            for future in as_completed(futures):
                if future.exception() is None:
                    yield futures[future], future.result()
                else:
                    lost.append(futures[future])
        except KeyboardInterrupt:
            # the workers were interrupted too and finish what they have begun
            pool.shutdown(cancel_futures=True)
            for future, index in futures.items():
                if not future.cancelled() and future.exception() is None:
                    yield index, future.result()
            raise
    # a process that dies takes the jobs of all others with it, so each gets one of its own
    for index in lost:
        bag = jobs[index].bag
        if len(jobs) == 1:
            yield index, {"bag": str(bag), "error": f"{bag}: its process died; out of memory?"}
        else:
            yield from _on_processes({index: jobs[index]}, 1)


def _settle(turn: Any, processes: int) -> None:
    """Give a worker its share of the cores, which the engines then keep to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between jobs
    if not hasattr(os, "sched_setaffinity"):
        return
    with turn.get_lock():
        index = turn.value
        turn.value += 1
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[index % len(cores) :: processes])


def _on_ray(jobs: Sequence[Job], address: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import ray
    except ImportError as error:
        raise ReplayError("--ray needs Ray: pip install ray") from error
    # a local cluster would report its use over the network, unasked
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ReplayError(f"no Ray cluster answers at {address}: {error}") from error
    try:
        attempt = ray.remote(num_cpus=1)(_attempt)
        indices = {attempt.remote(job): index for index, job in enumerate(jobs)}
        waiting = list(indices)
        while waiting:
            (done,), waiting = ray.wait(waiting)
            yield indices[done], ray.get(done)
    finally:
        ray.shutdown()


def sum_up(summaries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what all bags have in common.

    `person_minutes_per_hour`: minutes that persons showed a label, each person's counted, for an
    hour with images; `losses`: what became of the images of each bag that did not answer all.
    """
    run, errors = [], {}
    for summary in summaries:
        if "error" in summary:
            errors[summary["bag"]] = summary["error"]
        else:
            run.append(summary)
    seconds: Counter[str] = Counter()
    for summary in run:
        seconds.update(summary["label_seconds"])
    hours = sum(summary["covered"] for summary in run) / 3600
    slowest = sorted(run, key=lambda summary: summary["times_real_time"])
    return {
        "bags": len(run) + len(errors),
        "hours": round(hours, 4),
        "persons": sum(len(summary["persons"]) for summary in run),
        "person_minutes_per_hour": {
            label: round(value / 60 / hours, 2)
            for label, value in sorted(seconds.items())
            if hours
        },
        "errors": errors,
        "losses": {
            summary["bag"]: summary["images"]
            for summary in run
            if not summary["images"]["processed"]
            or any(summary["images"]["failed"].values())
            or summary["images"]["lost"] + summary["images"]["dropped"]
        },
        "incomplete": [summary["bag"] for summary in run if not summary["complete"]],
        "failed_expectations": [
            {"bag": summary["bag"], **verdict}
            for summary in run
            for verdict in summary["expectations"]
            if not verdict["held"]
        ],
        "slowest": [
            {key: summary[key] for key in ("bag", "times_real_time", "latency_ms")}
            for summary in slowest[:_SLOWEST]
        ],
    }
