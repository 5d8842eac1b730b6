# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.network.spec import NetworkSpec
from caer_ros.paths import share_folder
from caer_ros.training import context_study
from caer_ros.training.context_study import CASES, compare, gain
from caer_ros.training.settings import read_settings
from caer_ros.training.synthetic import HEIGHT, WIDTH
from caer_ros.types import Face

LEFT = (171 - 112) // 2 / 171 * WIDTH
TOP = (128 - 112) // 2 / 128 * HEIGHT
CELL_X = 16 / 171 * WIDTH
CELL_Y = 16 / 128 * HEIGHT


def cells(x1: float, y1: float, x2: float, y2: float) -> Face:
    """Return the box that covers these cells of a 7 x 7 map, in pixels of the scene."""
    return Face(LEFT + x1 * CELL_X, TOP + y1 * CELL_Y, LEFT + x2 * CELL_X, TOP + y2 * CELL_Y)


@given(st.floats(0, 6), st.floats(0, 6))
def test_an_even_map_gains_nothing_anywhere(x: float, y: float) -> None:
    even = np.full((7, 7), 1 / 49)
    assert gain(even, cells(x, y, x + 1, y + 1), NetworkSpec()) == pytest.approx(1)


def test_all_attention_on_a_box_of_one_cell_is_as_many_times_its_share_as_there_are_cells() -> (
    None
):
    peak = np.zeros((7, 7))
    peak[2, 5] = 1
    assert gain(peak, cells(5, 2, 6, 3), NetworkSpec()) == pytest.approx(49, rel=0.02)
    assert gain(peak, cells(5.25, 2.25, 5.75, 2.75), NetworkSpec()) == pytest.approx(49, rel=0.05)
    assert gain(peak, cells(5.5, 2, 6.5, 3), NetworkSpec()) == pytest.approx(49 / 2, rel=0.05)
    assert gain(peak, cells(0, 0, 2, 2), NetworkSpec()) == pytest.approx(0, abs=0.01)


def test_a_box_outside_the_crop_has_no_gain() -> None:
    assert np.isnan(gain(np.full((7, 7), 1 / 49), Face(0, 0, 20, 20), NetworkSpec()))


def test_every_network_is_trained_and_judged(tmp_path: Path) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(
        "epochs: 1\nworkers: 0\naccelerator: cpu\n"
        "network: {face_size: 16, context_size: 32}\naugment: {flip: 0.5}\n"
    )
    output = tmp_path / "study"
    args = argparse.Namespace(config=config, scenes=40, seed=3, output=output)
    assert context_study.main(args) == 0
    found = json.loads((output / "findings.json").read_text())
    assert list(found) == [*CASES, "full_sees_the_face", "inflated", "video"]
    for name, finding in found.items():
        assert (finding["on_target"] is None) == (name in ("face", "context", "concatenation"))
        assert 0 <= finding["context_in_face"] <= 1
        # half of the scenes have the label in the face
        halves = (finding["in_face"] + finding["around"]) / 2
        assert finding["accuracy"] == pytest.approx(halves)
    assert cv2.imread(str(output / "attention.png")) is not None


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_network_reads_the_face_where_it_tells_and_else_the_target(tmp_path: Path) -> None:
    settings = read_settings(share_folder() / "config" / "train" / "context_study.yaml")
    cases = {name: CASES[name] for name in ("face", "context", "full", "concatenation")}
    found = compare(settings, cases, 2000, tmp_path)
    full = found["full"]
    assert full.accuracy > found["face"].accuracy + 0.2
    assert full.accuracy > found["context"].accuracy + 0.2
    assert full.accuracy > found["concatenation"].accuracy
    assert full.context_around > full.context_in_face + 0.5
    assert full.on_target is not None
    assert full.on_target > 5
