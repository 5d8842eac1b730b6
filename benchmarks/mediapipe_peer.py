# SPDX-License-Identifier: Apache-2.0
"""PyPI `mediapipe` as a candidate of `peers.py`, by the Python of its own environment.

It finds faces, follows them and lays a mesh of 478 points on each, set up as in ROS4HRI's
`hri_face_detect`, which has another detector beside it. The blendshapes, from which expressions
could be told, are not in the wheel: no emotion is read here.
"""

# mypy: ignore-errors
# the imports below are those of the other environment

import json
import os
import sys
import time

import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh import FaceMesh

MOST_FACES = 5

# what a library prints must not get between the answers
answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

count, height, width, channels = json.loads(sys.stdin.buffer.readline())
size = count * height * width * channels
frames = np.frombuffer(sys.stdin.buffer.read(size), np.uint8)
frames = frames.reshape(count, height, width, channels)
mesh = FaceMesh(max_num_faces=MOST_FACES, refine_landmarks=True)
done = 0
for line in sys.stdin.buffer:
    seconds = []
    for _ in range(int(line)):
        started = time.perf_counter()
        image = cv2.cvtColor(frames[done % count], cv2.COLOR_BGR2RGB)
        found = mesh.process(image).multi_face_landmarks or ()
        seconds.append(time.perf_counter() - started)
        done += 1
    print(json.dumps({"seconds": seconds, "faces": len(found)}), file=answers, flush=True)
