# SPDX-License-Identifier: Apache-2.0
"""What the readers of a layout hand on: files with a class, and what they come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from caer_ros.types import Emotion, Face

_TIME_CODED = re.compile(r"([^_-]+).*[_-]\d{9}_+\d{8}$")


@dataclass(frozen=True)
class LabelledFile:
    """A picture or video with its class.

    name: unique, its path below the root of the data set. group: the film, video or subject it
    comes from. box: its face, where the data set gives one. known: whether its ending is that of
    a picture or video of the layout; another is counted and named, but not read.
    """

    name: str
    group: str
    path: Path
    emotion: Emotion
    box: Face | None = None
    known: bool = True


def film_of(path: Path) -> str | None:
    """Return the film that a file name with a time code names, else None.

    SFEW has such names: `OceansEleven_011234567_00000012.png`. The part before the first `_` or
    `-` is taken, so that the films of one series stay together.
    """
    match = _TIME_CODED.match(path.stem)
    return match.group(1) if match else None
