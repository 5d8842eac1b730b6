# SPDX-License-Identifier: Apache-2.0
"""CAER-Net as Lightning trains it."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

from caer_ros.network.model import CaerNet
from caer_ros.training.settings import TrainSettings

ABSENT = -1e4
"""Logit of a class that the example's data set does not have."""


def class_loss(logits: Tensor, target: Tensor, classes: Tensor, smoothing: float) -> Tensor:
    """Return the cross-entropy over the classes (bool, N x 7) that each example's data set has.

    A data set without a class cannot say that a picture does not show it.
    """
    logs = logits.masked_fill(~classes, ABSENT).log_softmax(dim=1)
    even = classes / classes.sum(dim=1, keepdim=True)
    target = (1 - smoothing) * target + smoothing * even
    return -(target * logs.masked_fill(~classes, 0.0)).sum(dim=1).mean()


class CaerModule(LightningModule):
    """The loss, the optimiser and the validation of one run.

    After a validation `validated` holds the logits (N, 7) and targets (N, 7) of the whole
    validation set.
    """

    def __init__(self, model: CaerNet, settings: TrainSettings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.validated: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        # dropout by step and seed alone, so that a resumed run goes the way of an unbroken one
        torch.manual_seed(hash((self.settings.seed, self.global_step, self.global_rank)) % 2**63)
        logits = self._logits(batch)
        loss = class_loss(
            logits.float(), batch["target"], batch["classes"], self.settings.label_smoothing
        )
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(logits))
        return loss

    def on_validation_epoch_start(self) -> None:
        self.validated = []

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        logits = self.model.logits(batch.get("faces"), batch.get("contexts")).scores
        logits = logits.float().masked_fill(~batch["classes"], ABSENT)
        self.validated.append((logits.cpu(), batch["target"].cpu()))

    def _logits(self, batch: dict[str, Tensor]) -> Tensor:
        rate = self.settings.stream_dropout
        if not rate or self.model.spec.streams != "both":
            return self.model.logits(batch.get("faces"), batch.get("contexts")).scores
        face = self.model.encode_face(batch["faces"])
        context, _ = self.model.attend(self.model.encode_context(batch["contexts"]), face)
        chance = torch.rand(len(face), 1, device=face.device)
        face = face * (chance >= rate / 2)
        context = context * (chance < 1 - rate / 2)
        return self.model.fuse(face, context)[0]

    def configure_optimizers(self) -> Any:
        settings = self.settings
        kernels = [p for p in self.parameters() if p.dim() > 1]
        others = [p for p in self.parameters() if p.dim() <= 1]
        groups = [
            {"params": kernels, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer: Optimizer
        scheduler: LRScheduler
        if settings.optimizer == "sgd":
            optimizer = SGD(groups, settings.learning_rate, momentum=0.9, nesterov=True)
        else:
            optimizer = AdamW(groups, settings.learning_rate)
        if settings.schedule == "step":
            scheduler = StepLR(optimizer, settings.step_epochs, 0.1)
            return {"optimizer": optimizer, "lr_scheduler": scheduler}
        scheduler = OneCycleLR(
            optimizer,
            settings.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.15,
            cycle_momentum=False,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
