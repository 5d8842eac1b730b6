# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.cli import main
from caer_ros.network.spec import read_spec
from caer_ros.training.cross_validate import FOLDS, folds_of, in_memory
from caer_ros.training.examples import DataError, Example, one_hot
from caer_ros.training.synthetic import draw_scene
from caer_ros.types import Emotion


def example(group: str, number: int = 0) -> Example:
    def load() -> list[np.ndarray]:
        return [np.full((4, 4, 3), number, np.uint8)]

    return Example(f"{group}/{number}", group, one_hot(Emotion.HAPPY), load)


def films(*sizes: int) -> list[Example]:
    return [example(f"film{f}", n) for f, size in enumerate(sizes) for n in range(size)]


@given(st.lists(st.integers(1, 20), min_size=FOLDS, max_size=30), st.integers(0, 5))
def test_folds_share_no_film_and_lose_no_example(sizes: list[int], seed: int) -> None:
    examples = films(*sizes)
    folds = folds_of(examples, seed)
    assert sorted(e.name for fold in folds for e in fold) == sorted(e.name for e in examples)
    groups = [{e.group for e in fold} for fold in folds]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups))
    # no fold can be evened out by handing its smallest film to another
    largest, smallest = max(folds, key=len), min(folds, key=len)
    assert len(largest) - len(smallest) <= max(sizes)


def test_folds_depend_on_the_seed_alone() -> None:
    examples = films(*[3] * 12)
    names = [[sorted(e.name for e in fold) for fold in folds_of(examples, s)] for s in (1, 1, 2)]
    assert names[0] == names[1]
    assert names[0] != names[2]


def test_too_few_films_are_refused() -> None:
    with pytest.raises(DataError, match="4 films or videos cannot make 5 folds"):
        folds_of(films(9, 9, 9, 9), seed=0)


def test_examples_in_memory_are_decoded_once() -> None:
    decoded = []

    def load() -> list[np.ndarray]:
        decoded.append(1)
        return [np.zeros((4, 4, 3), np.uint8)]

    (kept,) = in_memory([Example("a", "a", one_hot(Emotion.SAD), load)])
    assert np.array_equal(kept.load()[0], kept.load()[0])
    assert len(decoded) == 1


@pytest.mark.slow
def test_every_film_is_judged_once_by_a_network_that_has_not_seen_it(tmp_path: Path) -> None:
    for index in range(20):
        scene = draw_scene(0, index)
        name = f"Film{index % 5}_{index:09}_00000001.png"
        folder = tmp_path / "films" / scene.label.label
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), scene.image)
    config = tmp_path / "config.yaml"
    config.write_text("{epochs: 1, batch_size: 4, workers: 0, network: {face_size: 32}}")
    output = tmp_path / "run"
    data = f"folder:{tmp_path / 'films'}"
    arguments = ["--variant", "face", "--data", data, "--output", str(output)]
    assert main(["cross-validate", str(config), *arguments]) == 0
    figures = json.loads((output / "figures.json").read_text())
    judged = figures["data"]["examples"]
    assert figures["examples"] == sum(map(sum, figures["confusion"])) == judged
    assert len(figures["folds"]) == FOLDS
    assert read_spec(output / "fold_4" / "weights.safetensors").trained == ("face",)
