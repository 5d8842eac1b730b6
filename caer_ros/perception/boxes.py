# SPDX-License-Identifier: Apache-2.0
"""Geometry of bounding boxes, as arrays (N, 4) of corners x1, y1, x2, y2 in pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caer_ros.types import Face


def corners(faces: Sequence[Face]) -> np.ndarray:
    """Return the boxes of `faces`, float64 (N, 4)."""
    boxes = [(face.x1, face.y1, face.x2, face.y2) for face in faces]
    return np.array(boxes, np.float64).reshape(-1, 4)


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    intersection = (high - low).clip(0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def weighted_nms(
    boxes: np.ndarray, scores: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Merge the boxes of each face into their mean weighted by score, as MediaPipe does.

    Args:
        boxes: (N, 4), or more columns, which are averaged with them; scores: (N,) above 0.
        threshold: IoU with a face's best box from which on a box belongs to it.

    Returns:
        Boxes (M, as wide) and each face's best score (M,), by falling score.
    """
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    overlap = iou(boxes[:, :4], boxes[:, :4])
    merged, best = [], []
    left = np.ones(len(boxes), bool)
    for i in range(len(boxes)):
        if left[i]:
            # the box itself, even where it has no area
            left[i] = False
            cluster = left & (overlap[i] > threshold)
            left &= ~cluster
            cluster[i] = True
            merged.append(np.average(boxes[cluster], axis=0, weights=scores[cluster]))
            best.append(scores[i])
    return np.array(merged).reshape(-1, boxes.shape[1]), np.array(best)
