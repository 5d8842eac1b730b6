# SPDX-License-Identifier: Apache-2.0
"""What holds for the whole process, and only an entry point or the node may do."""

from __future__ import annotations

import ctypes
import os


def keep_opencv_to_one_thread() -> None:
    """Let OpenCV, which must not be in use yet, work without threads of its own.

    They take processor time and no image is done sooner (docs/performance.md). Child processes
    inherit it; who has set another number keeps it.
    """
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")


def give_back_freed_memory() -> None:
    """Give back to the system what is free inside of glibc's heap; elsewhere do nothing.

    Reading and compiling networks leaves up to 30 MB of it, which glibc would keep.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # not glibc
        return
