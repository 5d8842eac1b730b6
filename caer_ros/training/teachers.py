# SPDX-License-Identifier: Apache-2.0
"""What trained networks say of the pictures that another one learns from (distillation)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from caer_ros.network.checkpoint import load_checkpoint
from caer_ros.network.model import CaerNet
from caer_ros.training.augment import AugmentSettings
from caer_ros.training.data import CropDataset
from caer_ros.training.examples import Example
from caer_ros.training.module import log_shares

BATCH = 128


def taught_by(paths: Sequence[Path], examples: Sequence[Example]) -> np.ndarray:
    """Return the mean of what the networks in `paths` say of each example, float32 (N, 7).

    Every network sees the example as it is and mirrored, and speaks of the classes that the
    example's data set has; its own temperature tells how sure it may be.

    Raises:
        WeightsError: where a checkpoint cannot be read.
        DataError: where an example cannot be read or lacks the scene that a network needs.
    """
    shares = np.zeros((len(examples), 7), np.float32)
    for path in paths:
        model = load_checkpoint(path)
        data = CropDataset(examples, model.spec, AugmentSettings())
        loader = torch.utils.data.DataLoader(data, BATCH)
        said = [_say(model, batch) for batch in tqdm(loader, desc=path.name, disable=None)]
        shares += torch.cat(said).numpy() / len(paths)
    return shares


@torch.inference_mode()
def _say(model: CaerNet, batch: dict[str, Tensor]) -> Tensor:
    """Return shares (N, 7) among the classes of each example, the mean of both sides."""
    pictures = [batch.get("faces"), batch.get("contexts")]
    sides = []
    for side in (pictures, [None if p is None else p.flip(-2) for p in pictures]):
        logits = model.logits(*side).scores / model.spec.temperature
        sides.append(log_shares(logits, batch["classes"]).exp() * batch["classes"])
    return torch.stack(sides).mean(dim=0)
