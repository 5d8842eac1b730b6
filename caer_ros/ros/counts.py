# SPDX-License-Identifier: Apache-2.0
"""What happened to the images: counted, logged at most every few seconds, shown as diagnostics."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from caer_ros.text import printable
from caer_ros.types import SECOND, FrameResult

RECEIVED, PROCESSED, DROPPED, PERSONS = "received", "processed", "dropped", "persons"
HANDLING_P50, HANDLING_P95 = "handling p50 (ms)", "handling p95 (ms)"
"""Keys of the diagnostics that other programs read."""

LOG_PERIOD = 5.0
"""Seconds between two log lines of one cause and camera."""

SILENCE = 3.0
"""Seconds without an image after which a camera is silent: reported as stale, nobody in it."""

WINDOW = 512
"""Processed images that the latency percentiles look back on."""


@dataclass
class _Counts:
    received: int = 0
    processed: int = 0
    dropped: int = 0
    resets: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: _Counts) -> _Counts:
        return _Counts(
            self.received + other.received,
            self.processed + other.processed,
            self.dropped + other.dropped,
            self.resets + other.resets,
            self.errors + other.errors,
            self.warnings + other.warnings,
        )

    def copy(self) -> _Counts:
        return self + _Counts()

    def values(self, before: _Counts, elapsed: float) -> dict[str, Any]:
        """Return what the diagnostics show; rates are of the `elapsed` seconds since `before`."""
        return {
            "input rate (Hz)": f"{(self.received - before.received) / elapsed:.1f}",
            "processed rate (Hz)": f"{(self.processed - before.processed) / elapsed:.1f}",
            RECEIVED: self.received,
            PROCESSED: self.processed,
            DROPPED: self.dropped,
            "stamp resets": self.resets,
            "errors": self.errors.total(),
            **{f"errors: {cause}": count for cause, count in sorted(self.errors.items())},
            "warnings": self.warnings.total(),
            **{f"warnings: {cause}": count for cause, count in sorted(self.warnings.items())},
        }


@dataclass
class _Camera:
    counts: _Counts = field(default_factory=_Counts)
    reported: _Counts = field(default_factory=_Counts)
    heard: float = 0.0
    answered: bool = False
    stamp: int = 0
    frame_id: str = ""
    calibrated: bool = False
    persons: int = 0
    last_error: str = ""


class Statistics:
    """Counts of every camera, shared by the callbacks, the worker and the diagnostics timer.

    Images received are those processed, dropped and refused (`errors`), and those at work.
    """

    def __init__(self, cameras: Iterable[str], logger: Any) -> None:
        self._lock = threading.Lock()
        self._logger = logger
        self._cameras = {camera: _Camera() for camera in cameras}
        self._latencies: deque[float] = deque(maxlen=WINDOW)
        self._handling: deque[float] = deque(maxlen=WINDOW)
        self._logged: dict[tuple[str, str], float] = {}
        self._held_back: Counter[tuple[str, str]] = Counter()
        self._reported_at = time.monotonic()
        self.listening()

    def listening(self) -> None:
        """Start to wait for images: silence counts from now on."""
        with self._lock:
            for camera in self._cameras.values():
                camera.heard = time.monotonic()

    def received(self, name: str) -> None:
        """Count an image that came in."""
        with self._lock:
            camera = self._cameras[name]
            camera.counts.received += 1
            camera.heard = time.monotonic()

    def dropped(self, name: str) -> None:
        """Count an image that is given up unread, for a newer one or at the end."""
        with self._lock:
            self._cameras[name].counts.dropped += 1

    def calibrated(self, name: str, calibrated: bool) -> None:
        """Note whether a camera's calibration is known."""
        with self._lock:
            self._cameras[name].calibrated = calibrated

    def processed(
        self, result: FrameResult, frame_id: str, latency: float, handling: float
    ) -> None:
        """Count an answered image; seconds from its stamp and from its arrival to the answer.

        latency: NaN while there is no time to compare the stamp with.
        """
        with self._lock:
            camera = self._cameras[result.camera]
            camera.counts.processed += 1
            camera.counts.resets += result.reset
            camera.answered = True
            camera.stamp = result.stamp
            camera.frame_id = printable(frame_id)
            camera.persons = len(result.readings)
            if not math.isnan(latency):
                self._latencies.append(latency)
            self._handling.append(handling)

    def forget(self, name: str) -> None:
        """Note that nobody is followed in a camera any more."""
        with self._lock:
            self._cameras[name].persons = 0

    def failed(self, name: str, cause: str, text: str) -> None:
        """Count an image that cannot be answered; log why, unless this was logged just now."""
        with self._lock:
            self._cameras[name].counts.errors[cause] += 1
            line = self._note(name, cause, text)
        if line:
            self._logger.error(line)

    def doubted(self, name: str, cause: str, text: str) -> None:
        """Count something amiss with an image that is answered all the same; log it likewise."""
        with self._lock:
            self._cameras[name].counts.warnings[cause] += 1
            line = self._note(name, cause, text)
        if line:
            self._logger.warning(line)

    def _note(self, name: str, cause: str, text: str) -> str | None:
        """Return the line to log unless one of this cause was logged just now."""
        text = printable(text)
        self._cameras[name].last_error = text
        key, now = (name, cause), time.monotonic()
        if now - self._logged.get(key, -math.inf) < LOG_PERIOD:
            self._held_back[key] += 1
            return None
        self._logged[key] = now
        more = self._held_back.pop(key, 0)
        return f"{name}: {text}" + (f" ({more} more since the last)" if more else "")

    def silent(self, seconds: float) -> list[str]:
        """Return the cameras that have sent no image for so long."""
        with self._lock:
            now = time.monotonic()
            return [name for name, c in self._cameras.items() if now - c.heard > seconds]

    def report(
        self, clock: int, reasons: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], list[DiagnosticStatus]]:
        """Return what all cameras have in common as values, and the status of each.

        Rates are of the time since the last report.
        clock: the node's time in ns, 0 while simulated time has not begun.
        reasons: why a camera is silent, by its name.
        """
        reasons = reasons or {}
        with self._lock:
            now = time.monotonic()
            elapsed = max(now - self._reported_at, 1e-3)
            self._reported_at = now
            statuses, total, before = [], _Counts(), _Counts()
            ages, last_errors = [], []
            for name, camera in self._cameras.items():
                age = (clock - camera.stamp) / SECOND if camera.answered and clock else math.nan
                silence = now - camera.heard
                why = reasons.get(name, "")
                statuses.append(_camera_status(name, camera, elapsed, silence, age, why))
                total, before = total + camera.counts, before + camera.reported
                camera.reported = camera.counts.copy()
                ages.append(age)
                if camera.last_error:
                    last_errors.append(f"{name}: {camera.last_error}")
            p50, p95 = _percentiles(self._latencies)
            handling_p50, handling_p95 = _percentiles(self._handling)
        return {
            **total.values(before, elapsed),
            "age of last image (s)": f"{np.fmin.reduce(ages, initial=math.nan):.3f}",
            "latency p50 (ms)": f"{p50:.1f}",
            "latency p95 (ms)": f"{p95:.1f}",
            HANDLING_P50: f"{handling_p50:.1f}",
            HANDLING_P95: f"{handling_p95:.1f}",
            PERSONS: sum(camera.persons for camera in self._cameras.values()),
            "last error": "; ".join(last_errors),
        }, statuses


def _percentiles(seconds: deque[float]) -> np.ndarray:
    """Return the 50th and 95th percentile in ms, NaN of nothing."""
    return np.percentile(seconds or [math.nan], (50, 95)) * 1e3


def _camera_status(
    name: str, camera: _Camera, elapsed: float, silence: float, age: float, why: str
) -> DiagnosticStatus:
    answered = camera.counts.processed - camera.reported.processed
    refused = camera.counts.errors.total() - camera.reported.errors.total()
    doubted = camera.counts.warnings.total() - camera.reported.warnings.total()
    if silence > SILENCE:
        level, message = DiagnosticStatus.STALE, f"no image for {silence:.0f} s"
        message += f": {why}" if why else ""
    elif refused or doubted:
        worst = bool(refused) and not answered
        level = DiagnosticStatus.ERROR if worst else DiagnosticStatus.WARN
        message = camera.last_error
    else:
        level, message = DiagnosticStatus.OK, f"{answered / elapsed:.1f} images/s answered"
    values = {
        **camera.counts.values(camera.reported, elapsed),
        "age of last image (s)": f"{age:.3f}",
        "frame_id": camera.frame_id,
        "calibrated": "yes" if camera.calibrated else "no",
        PERSONS: camera.persons,
        "last error": camera.last_error,
    }
    return to_status(name, level, message, values)


def to_status(name: str, level: bytes, message: str, values: dict[str, Any]) -> DiagnosticStatus:
    """Return a status; `name` is what it is about, its node's name goes before it."""
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
