# SPDX-License-Identifier: Apache-2.0
"""A batch is checked once, and its parts say what the whole says."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from caer_ros.engines.base import Batch, EngineError

from .conftest import SPECS

FACES = np.zeros((2, 32, 32, 3), np.uint8)
SCENES = np.zeros((1, 48, 48, 3), np.uint8)
INDEX = np.zeros(2, np.int64)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "needs faces or contexts"),
        ({"faces": FACES[:0]}, r"faces are uint8 \(0, 32, 32, 3\)"),
        ({"faces": FACES.astype(float)}, "faces are float64"),
        ({"faces": FACES[0]}, r"faces are uint8 \(32, 32, 3\)"),
        ({"faces": FACES, "contexts": SCENES}, "come together"),
        ({"faces": FACES, "context_index": INDEX}, "come together"),
        ({"contexts": SCENES, "context_index": INDEX[:0]}, r"context_index is int64 \(0,\)"),
        ({"contexts": SCENES, "context_index": INDEX.astype(float)}, "context_index is float64"),
        ({"contexts": SCENES, "context_index": INDEX + 1}, "from 1 to 1, there are 1 contexts"),
        ({"contexts": SCENES, "context_index": INDEX - 1}, "from -1 to -1"),
        ({"faces": FACES[:1], "contexts": SCENES, "context_index": INDEX}, "1 faces do not fit 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(
    arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        Batch(**arrays)


def test_what_was_checked_cannot_be_exchanged() -> None:
    with pytest.raises(FrozenInstanceError):
        Batch(FACES).faces = FACES[:0]  # type: ignore[misc]


@pytest.mark.parametrize("kind", SPECS)
def test_a_blank_batch_has_what_the_network_reads(kind: str) -> None:
    batch = Batch.blank(SPECS[kind], 3)
    assert len(batch) == 3
    assert (batch.faces is not None) == SPECS[kind].has_face
    assert (batch.contexts is not None) == SPECS[kind].has_context


def test_a_batch_that_is_small_enough_is_not_copied() -> None:
    batch = Batch(FACES)
    assert [*batch.split(2)] == [batch]


def test_parts_hold_all_persons_in_order_and_only_the_scenes_they_need() -> None:
    faces = np.zeros((7, 96, 96, 3), np.uint8) + np.arange(7, dtype=np.uint8)[:, None, None, None]
    scenes = np.zeros((4, 8, 8, 3), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None, None]
    index = np.array([3, 3, 0, 1, 3, 0, 0])
    batch = Batch(faces, scenes, index)
    for whole in (batch, replace(batch, faces=None)):
        parts = list(whole.split(3))
        assert [len(part) for part in parts] == [3, 3, 1]
        seen = [part.contexts[i, 0, 0, 0] for part in parts for i in part.context_index]
        assert seen == index.tolist()
        assert [len(part.contexts) for part in parts] == [2, 3, 1]
    together = np.concatenate([part.faces for part in batch.split(3)])
    np.testing.assert_array_equal(together, faces)
    assert all(part.contexts is None for part in Batch(faces).split(3))
