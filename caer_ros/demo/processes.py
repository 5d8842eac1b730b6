# SPDX-License-Identifier: Apache-2.0
"""Child processes that never outlive us, and the ROS graph they are in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from caer_ros.ros.fast_dds import profile_variable

GRACE = 5.0
"""Seconds a process has to end after SIGINT, and again after SIGTERM."""


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the background; on leaving it is ended, whatever happened.

    It gets a session of its own, so that Ctrl-C reaches it through us, in order.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def enter_own_graph() -> None:
    """Put this process and those it starts in a graph of their own, confined to this machine."""
    # an environment with the ROS wheels is a ROS prefix that nobody has to source
    prefixes = filter(None, [os.environ.get("AMENT_PREFIX_PATH"), sys.prefix])
    os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join(prefixes)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)


@contextmanager
def fast_dds_profile() -> Iterator[None]:
    """Give this process and those it starts meanwhile the package's Fast DDS profile."""
    name, path = profile_variable()
    before = os.environ.get(name)
    os.environ[name] = path
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _end(process: subprocess.Popen[bytes]) -> None:
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(end)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
