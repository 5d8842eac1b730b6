# SPDX-License-Identifier: Apache-2.0
"""What holds for the whole process."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURE = """
import ctypes
from caer_ros.benchmark.pipeline import resident_memory
from caer_ros.process import give_back_freed_memory
from caer_ros.ros.main import keep_large_blocks

keep_large_blocks()
blocks = [bytearray(b"x" * 100_000) for _ in range(1000)]
last = bytearray(100_000)  # behind them, so that the heap cannot shrink by itself
blocks.clear()
before = resident_memory()
give_back_freed_memory()
print(before - resident_memory())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_what_is_free_goes_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) > 50
