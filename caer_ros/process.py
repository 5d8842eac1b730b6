# SPDX-License-Identifier: Apache-2.0
"""What only an entry point sets, because it holds for the whole process."""

from __future__ import annotations

import os


def keep_opencv_to_one_thread() -> None:
    """Let OpenCV, which must not be in use yet, work without threads of its own.

    They take processor time and no image is done sooner (docs/performance.md). Child processes
    inherit it; who has set another number keeps it.
    """
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
