"""Child processes that never outlive the demo."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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


def _end(process: subprocess.Popen[bytes]) -> None:
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(end)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
