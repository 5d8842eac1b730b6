# SPDX-License-Identifier: Apache-2.0
"""A dark room alone makes nobody sad: the shipped scene network on drawn people and rooms."""

from __future__ import annotations

import numpy as np
import torch

from caer_ros.network.checkpoint import load_checkpoint
from caer_ros.network.spec import resolve_weights
from caer_ros.training.datasets import read
from caer_ros.training.evaluate import Conditions, Showing
from caer_ros.types import Emotion


def test_a_dark_room_makes_nobody_sad() -> None:
    model = load_checkpoint(resolve_weights("caer_net_s_scene"))
    examples = read("synthetic:120", "train", faces=False).examples[:40]

    def probabilities(scene: str) -> np.ndarray:
        show = Showing(examples, model.spec, Conditions(scene=scene))
        views = [next(show.views(index)) for index in range(len(examples))]
        faces, contexts = (torch.from_numpy(np.stack(part)) for part in zip(*views, strict=True))
        with torch.inference_mode():
            return model(faces, contexts).scores.numpy()

    lit, dark = probabilities("shown"), probabilities("dark")
    became = (dark.argmax(axis=1) == Emotion.SAD) & (lit.argmax(axis=1) != Emotion.SAD)
    assert not became.any()
    assert (dark - lit)[:, Emotion.SAD].mean() < 0.05
