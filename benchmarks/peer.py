# SPDX-License-Identifier: Apache-2.0
"""What a candidate of `peers.py` in Python does, by the Python of its own environment."""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

Find = Callable[[np.ndarray], Sequence[object]]
"""From a frame, uint8 BGR (height, width, 3), to the faces found in it."""


def serve(load: Callable[[], Find]) -> None:
    """Read the frames, then how many to look at each time; answer with seconds and faces found."""
    # what a library prints must not get between the answers
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    count, height, width, channels = json.loads(sys.stdin.buffer.readline())
    size = count * height * width * channels
    frames = np.frombuffer(sys.stdin.buffer.read(size), np.uint8)
    frames = frames.reshape(count, height, width, channels)
    find = load()
    done = 0
    for line in sys.stdin.buffer:
        seconds = []
        for _ in range(int(line)):
            started = time.perf_counter()
            found = find(frames[done % count])
            seconds.append(time.perf_counter() - started)
            done += 1
        print(json.dumps({"seconds": seconds, "faces": len(found)}), file=answers, flush=True)
