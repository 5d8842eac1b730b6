# SPDX-License-Identifier: Apache-2.0
import re

import cv2
import numpy as np
import pytest
import torch
from scipy.special import softmax

from caer_ros.cli import main as caer
from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec
from caer_ros.training.calibrate import cross_fitted, logits_of
from caer_ros.training.evaluate import Judgement
from caer_ros.training.examples import DataError
from caer_ros.training.metrics import measure


def drawn(count, films, temperature):
    """Return logits that are right as often as softmax(logits / temperature) says, and films."""
    rng = np.random.default_rng(0)
    logits = 4 * rng.standard_normal((count, 7))
    shares = softmax(logits / temperature, axis=1)
    labels = np.array([rng.choice(7, p=row) for row in shares])
    return logits, labels, [f"film {i % films}" for i in range(count)]


def test_other_films_tell_how_sure_to_be():
    logits, labels, films = drawn(3000, 20, 3.0)
    probabilities, temperatures = cross_fitted(logits, labels, films)
    assert temperatures == pytest.approx([3.0] * 5, rel=0.1)
    assert measure(labels, softmax(logits, axis=1)).calibration_error > 0.15
    assert measure(labels, probabilities).calibration_error < 0.05


def test_no_film_sets_its_own_temperature():
    logits, labels, films = drawn(400, 5, 3.0)
    alone = np.array(films) == "film 0"
    before, _ = cross_fitted(logits, labels, films)
    # other labels in a film change what is said of all films but it
    changed, _ = cross_fitted(logits, np.where(alone, (labels + 1) % 7, labels), films)
    np.testing.assert_array_equal(changed[alone], before[alone])
    assert not np.isclose(changed[~alone], before[~alone]).all(axis=1).any()


def test_too_few_films_are_an_error():
    with pytest.raises(DataError, match="4 films cannot be split in 5"):
        cross_fitted(*drawn(40, 4, 1.0))


def test_logits_come_back_from_probabilities():
    logits = np.random.default_rng(1).standard_normal((5, 7))
    shares = softmax(logits / 0.7, axis=1)
    judgement = Judgement(np.zeros(5, int), shares, np.zeros((5, 2)), np.zeros(5))
    np.testing.assert_allclose(softmax(logits_of(judgement, 0.7) / 0.7, axis=1), shares)
    np.testing.assert_allclose(
        softmax(logits_of(judgement, 0.7) / 2, axis=1), softmax(logits / 2, axis=1)
    )


def test_the_weights_keep_the_film_temperature_beside_the_other(tmp_path, capsys):
    torch.manual_seed(0)
    model = CaerNet(NetworkSpec(streams="face", face_size=16, temperature=0.5))
    weights = tmp_path / "w.safetensors"
    save_checkpoint(model, weights)
    before = load_checkpoint(weights)
    rng = np.random.default_rng(0)
    for index in range(14):
        folder = tmp_path / "films" / ("Happy", "Sad")[index % 2] / f"film{index % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        picture = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / f"{index}.png"), picture)
    command = ["calibrate", str(weights), "--data", f"folder:{tmp_path / 'films'}", "--faces"]
    assert caer(command) == 0
    after = load_checkpoint(weights)
    # random weights should not be sure of anything
    assert after.spec.temperature == 0.5 < after.spec.film_temperature
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name])
    said = capsys.readouterr().out
    assert re.search(r"photo, 0\.50 +0\.\d{4}\n.*fitted on the same +0\.\d{4}\n", said)
    assert re.search(r"of other films, [\d.]+ to [\d.]+ +0\.\d{4}\n", said)
