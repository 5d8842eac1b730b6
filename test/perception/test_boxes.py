# SPDX-License-Identifier: Apache-2.0
"""Overlap and merging of boxes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.perception.boxes import corners, iou, weighted_nms
from caer_ros.types import Face

coordinate = st.floats(-500, 500)
box = st.tuples(coordinate, coordinate, st.floats(0, 300), st.floats(0, 300)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def test_corners_of_faces_are_rows_also_of_none() -> None:
    faces = [Face(1, 2, 3, 4), Face(-1.5, 0, 9, 8, 0.3)]
    np.testing.assert_array_equal(corners(faces), [[1, 2, 3, 4], [-1.5, 0, 9, 8]])
    assert corners([]).shape == (0, 4)


def test_iou_is_the_shared_part() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]])
    np.testing.assert_allclose(iou(boxes[:1], boxes), [[1, 1 / 3, 0]])


def test_nms_averages_the_boxes_of_one_face_by_score_and_keeps_the_best_score() -> None:
    boxes = np.array([[0, 0, 10, 10], [100, 0, 110, 10], [2, 0, 12, 10]], float)
    merged, scores = weighted_nms(boxes, np.array([0.9, 0.5, 0.3]), 0.3)
    np.testing.assert_allclose(scores, [0.9, 0.5])
    np.testing.assert_allclose(merged, [[0.5, 0, 10.5, 10], [100, 0, 110, 10]])


def test_nms_of_nothing_is_nothing() -> None:
    boxes, scores = weighted_nms(np.zeros((0, 4)), np.zeros(0), 0.3)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


@given(st.lists(st.tuples(box, st.floats(0.01, 1)), max_size=12))
def test_nms_stays_within_its_boxes_and_keeps_the_best(
    found: list[tuple[tuple[float, float, float, float], float]],
) -> None:
    boxes = np.array([b for b, _ in found]).reshape(-1, 4)
    scores = np.array([s for _, s in found])
    merged, best = weighted_nms(boxes, scores, 0.3)
    assert len(merged) <= len(boxes)
    assert (np.diff(best) <= 0).all()
    if len(boxes):
        assert best[0] == scores.max()
        assert (merged >= boxes.min(axis=0) - 1e-6).all()
        assert (merged <= boxes.max(axis=0) + 1e-6).all()


@given(box, box)
def test_iou_is_symmetric_and_one_with_itself(
    first: tuple[float, float, float, float], second: tuple[float, float, float, float]
) -> None:
    boxes = np.array([first, second])
    overlap = iou(boxes, boxes)
    np.testing.assert_array_equal(overlap, overlap.T)
    assert ((overlap >= 0) & (overlap <= 1 + 1e-9)).all()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    np.testing.assert_allclose(np.diag(overlap), np.where(areas > 0, 1.0, 0.0))
