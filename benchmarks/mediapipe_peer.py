# SPDX-License-Identifier: Apache-2.0
"""PyPI `mediapipe` as a candidate of `peers.py`, by the Python of its own environment.

It finds faces, follows them and lays a mesh of 478 points on each, set up as in ROS4HRI's
`hri_face_detect`, which has another detector beside it. The blendshapes, from which expressions
could be told, are not in the wheel: no emotion is read here.
"""

# mypy: ignore-errors
# the import of mediapipe is that of the other environment

import cv2
from mediapipe.python.solutions.face_mesh import FaceMesh
from peer import serve

MOST_FACES = 5


def load():
    mesh = FaceMesh(max_num_faces=MOST_FACES, refine_landmarks=True)

    def find(frame):
        return mesh.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).multi_face_landmarks or ()

    return find


serve(load)
