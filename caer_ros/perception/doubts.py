# SPDX-License-Identifier: Apache-2.0
"""What is amiss with an image that is answered all the same; the node and replay tell of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from caer_ros.types import SECOND, FrameResult

JITTER_COUNT, JITTER_PERIOD = 3, 10 * SECOND
"""So many late images in so long a time are no accident."""


@dataclass
class _Camera:
    """A camera's last answer, its newest stamp, and the stamps of its last late images."""

    last: FrameResult
    newest: int
    late: deque[int] = field(default_factory=lambda: deque(maxlen=JITTER_COUNT))


class Doubts:
    """Looks at the answers of all cameras, each in the order in which its images came."""

    def __init__(self) -> None:
        self._cameras: dict[str, _Camera] = {}

    def last_stamp(self, camera: str) -> int | None:
        """Return the stamp of a camera's last answer in ns, None before there is one."""
        return self._cameras[camera].last.stamp if camera in self._cameras else None

    def of(self, result: FrameResult, max_persons: int) -> dict[str, str]:
        """Return what is unusual about an answered image, beside those before.

        A dict from the cause, in a word or three, to a sentence. max_persons:
        `tracker.max_persons`.
        """
        camera = self._cameras.get(result.camera)
        if camera is None:
            self._cameras[result.camera] = _Camera(result, result.stamp)
            return _crowd(result, 0, max_persons)
        last, camera.last = camera.last, result
        found = _stamp(result, last, camera)
        if (result.width, result.height) != (last.width, last.height):
            found["size changed"] = (
                f"image size changed from {last.width} x {last.height} to {result.width} x "
                f"{result.height}: its persons are forgotten"
            )
        return found | _crowd(result, len(last.readings), max_persons)


def _stamp(result: FrameResult, last: FrameResult, camera: _Camera) -> dict[str, str]:
    """Return what is amiss with a stamp; keeps the camera's newest and late ones."""
    newest, stamp = camera.newest, result.stamp
    if result.reset:
        camera.newest = stamp
        camera.late.clear()
        return {
            "stamp jumped back": f"image stamp jumped back from {seconds(last.stamp)} to "
            f"{seconds(stamp)}: its persons are forgotten"
        }
    camera.newest = max(newest, stamp)
    if stamp >= newest:
        return {}
    camera.late.append(stamp)
    if len(camera.late) == JITTER_COUNT and newest - camera.late[0] <= JITTER_PERIOD:
        return {
            "stamp jitter": f"image stamps go to and fro, {seconds(stamp)} after "
            f"{seconds(newest)}: late images are answered as those before, and speeds are wrong; "
            "does the driver stamp each image when it is taken?"
        }
    return {
        "stamp late": f"image stamp {seconds(stamp)} is before {seconds(newest)} of an earlier "
        "image: it is answered as that one was"
    }


def _crowd(result: FrameResult, before: int, max_persons: int) -> dict[str, str]:
    if len(result.readings) != max_persons or before >= max_persons:
        return {}
    return {
        "crowd": f"{max_persons} persons are in the image, as many as tracker.max_persons allows: "
        "further ones are not read"
    }


def seconds(nanoseconds: int) -> str:
    """Return `12.345678901` for a stamp or a duration in ns."""
    sign = "-" if nanoseconds < 0 else ""
    whole, rest = divmod(abs(nanoseconds), SECOND)
    return f"{sign}{whole}.{rest:09d}"
