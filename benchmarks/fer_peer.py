# SPDX-License-Identifier: Apache-2.0
"""PyPI `fer` with its defaults as a candidate of `peers.py`, by the Python of its own environment.

Its default is a Haar cascade and a quantised network that TensorFlow's TFLite interpreter runs.
"""

# mypy: ignore-errors
# the imports below are those of the other environment

import json
import os
import sys
import time

import numpy as np
from fer.fer import FER

# what a library prints must not get between the answers
answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

count, height, width, channels = json.loads(sys.stdin.buffer.readline())
size = count * height * width * channels
frames = np.frombuffer(sys.stdin.buffer.read(size), np.uint8)
frames = frames.reshape(count, height, width, channels)
fer = FER()
done = 0
for line in sys.stdin.buffer:
    seconds = []
    for _ in range(int(line)):
        started = time.perf_counter()
        found = fer.detect_emotions(frames[done % count])
        seconds.append(time.perf_counter() - started)
        done += 1
    print(json.dumps({"seconds": seconds, "faces": len(found)}), file=answers, flush=True)
