# SPDX-License-Identifier: Apache-2.0
"""What is amiss with an image that is answered all the same; the node and replay tell of it."""

from __future__ import annotations

from caer_ros.types import SECOND, FrameResult


def doubts(result: FrameResult, last: FrameResult | None, max_persons: int) -> dict[str, str]:
    """Return what is unusual about an answered image, beside its camera's last one.

    A dict from the cause, in a word or three, to a sentence. max_persons: `tracker.max_persons`.
    """
    found = {}
    if last and result.reset:
        found["stamp jumped back"] = (
            f"image stamp jumped back from {seconds(last.stamp)} to {seconds(result.stamp)}: "
            "its persons are forgotten"
        )
    elif last and result.stamp < last.stamp:
        found["stamp late"] = (
            f"image stamp {seconds(result.stamp)} is before {seconds(last.stamp)} of the image "
            "before: it is answered as that one was"
        )
    if last and (result.width, result.height) != (last.width, last.height):
        found["size changed"] = (
            f"image size changed from {last.width} x {last.height} to {result.width} x "
            f"{result.height}: its persons are forgotten"
        )
    if len(result.readings) == max_persons > (len(last.readings) if last else 0):
        found["crowd"] = (
            f"{max_persons} persons are in the image, as many as tracker.max_persons allows: "
            "further ones are not read"
        )
    return found


def seconds(nanoseconds: int) -> str:
    """Return `12.345678901` for a stamp or a duration in ns."""
    sign = "-" if nanoseconds < 0 else ""
    whole, rest = divmod(abs(nanoseconds), SECOND)
    return f"{sign}{whole}.{rest:09d}"
