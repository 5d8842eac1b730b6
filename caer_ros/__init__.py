# SPDX-License-Identifier: Apache-2.0
"""Emotions of the people a robot sees: faces tracked, clips kept, CAER-Net run, ROS 2 out.

    >>> import caer_ros
    >>> people = caer_ros.read("people.jpg")
    >>> _ = people.plot("out.png")

`watch` does the same for a camera or a video. The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caer_ros.api import Emotion, EmotionPipeline, FrameReadings, Reading, read, watch

    __version__: str

__all__ = [
    "Emotion",
    "EmotionPipeline",
    "FrameReadings",
    "Reading",
    "__version__",
    "read",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from caer_ros.paths import package_version

        return package_version()
    if name in __all__:
        from caer_ros import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
