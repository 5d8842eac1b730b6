# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos of data sets, as uint8 BGR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from caer_ros.perception.clips import SampleClock
from caer_ros.training.examples import DataError
from caer_ros.video import VideoError, open_video

VIDEOS = frozenset({".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v"})


def read_frames(path: Path) -> list[np.ndarray]:
    """Return the frames of a picture (one) or a video, uint8 BGR.

    Those of a video are picked as the node picks a camera's images, at 10 Hz of the video's own
    time. A video cut short gives the frames it has.

    Raises:
        DataError: where nothing can be decoded.
    """
    clock = SampleClock()
    try:
        with open_video(path) as video:
            return [image for stamp, image in video if clock.tick(stamp)]
    except VideoError as error:
        raise DataError(str(error)) from error
