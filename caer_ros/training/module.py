# SPDX-License-Identifier: Apache-2.0
"""CAER-Net as Lightning trains it."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

from caer_ros.network.layers import FEATURES, Encoder
from caer_ros.network.model import CaerNet
from caer_ros.training.settings import TrainSettings

ABSENT = -1e4
"""Logit of a class that the example's data set does not have."""


EARLY = 8
"""Layers of an encoder up to the second pooling: two convolutions."""

GATE_SHARPNESS = 4.0
"""How strongly the fusion weights shall follow the better stream: a power of its probability."""


def class_loss(logits: Tensor, target: Tensor, classes: Tensor, smoothing: float) -> Tensor:
    """Return the cross-entropy over the classes (bool, N x 7) that each example's data set has.

    A data set without a class cannot say that a picture does not show it.
    """
    logs = log_shares(logits, classes)
    even = classes / classes.sum(dim=1, keepdim=True)
    target = (1 - smoothing) * target + smoothing * even
    return -(target * logs).sum(dim=1).mean()


def log_shares(logits: Tensor, classes: Tensor) -> Tensor:
    """Return log probabilities (N, 7) among `classes`, 0 for the others, in float32."""
    logs = logits.float().masked_fill(~classes, ABSENT).log_softmax(dim=1)
    return logs.masked_fill(~classes, 0.0)


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
        self._kept: list[nn.Module] = []
        self._face_columns: Tensor | None = None

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        # dropout by step and seed alone, so that a resumed run goes the way of an unbroken one
        torch.manual_seed(hash((self.settings.seed, self.global_step, self.global_rank)) % 2**63)
        if self.model.spec.streams == "both":
            loss = self._loss_of_both(batch)
        else:
            loss = self._loss(self._logits(batch), batch)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["target"]))
        return loss

    def _loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return class_loss(
            logits.float(), batch["target"], batch["classes"], self.settings.label_smoothing
        )

    def _vectors(self, batch: dict[str, Tensor]) -> tuple[Tensor | None, Tensor | None]:
        """Return what the streams make of a batch, from pictures or from kept scene maps."""
        model = self.model
        face = model.encode_face(batch["faces"]) if model.spec.has_face else None
        if not model.spec.has_context:
            return face, None
        if "maps" in batch:
            features = model.project(batch["maps"].to(model.normalize.mean.dtype))
        else:
            features = model.encode_context(batch["contexts"])
        return face, model.attend(features, face)[0]

    def _logits(self, batch: dict[str, Tensor]) -> Tensor:
        return self.model.fuse(*self._vectors(batch))[0]

    def _loss_of_both(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss of both streams, one of them dropped at times, and of each by itself."""
        model, settings = self.model, self.settings
        face, context = self._vectors(batch)
        assert face is not None and context is not None
        chance = torch.rand(len(face), 1, device=face.device)
        rate = settings.stream_dropout / 2
        logits, _ = model.fuse(face * (chance >= rate), context * (chance < 1 - rate))
        loss = self._loss(logits, batch)
        if not (settings.anchor or settings.scene_loss or settings.gate):
            return loss
        classes = batch["classes"]
        with torch.no_grad():
            first, relu, _, last = model.classifier
            from_face = last(relu(first(torch.cat([face, torch.zeros_like(face)], dim=1))))
        from_scene = model.classifier(torch.cat([torch.zeros_like(context), context], dim=1))
        moved = (logits - from_face).float().masked_fill(classes, 0.0).square()
        loss = loss + settings.anchor * moved.sum() / (~classes).sum().clamp(min=1)
        loss = loss + settings.scene_loss * self._loss(from_scene, batch)
        if settings.gate:
            known = [
                (log_shares(part.detach(), classes) * batch["target"]).sum(dim=1)
                for part in (from_face, from_scene)
            ]
            wanted = torch.sigmoid(GATE_SHARPNESS * (known[1] - known[0])) * batch["hidden"]
            weight = model.fusion(face, context.detach())[:, 1].float().clamp(1e-4, 1 - 1e-4)
            entropy = wanted * weight.log() + (1 - wanted) * (1 - weight).log()
            loss = loss - settings.gate * entropy.mean()
        return loss

    def on_validation_epoch_start(self) -> None:
        self.validated = []

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        logits = self._logits(batch).float().masked_fill(~batch["classes"], ABSENT)
        self.validated.append((logits.cpu(), batch["target"].cpu()))

    def on_train_start(self) -> None:
        frozen = self.settings.frozen
        names = {"none": (), "early": (), "face": ("face_encoder",)}.get(
            frozen, ("face_encoder", "context_encoder")
        )
        self._kept = [getattr(self.model, name) for name in names if hasattr(self.model, name)]
        if frozen == "early":
            encoders = [m for m in self.model.children() if isinstance(m, Encoder)]
            self._kept = [layer for encoder in encoders for layer in list(encoder)[:EARLY]]
        for module in self._kept:
            module.requires_grad_(False)
        if frozen in ("face", "encoders") and self.model.spec.streams == "both":
            # what the classifier makes of a face, but not of a scene
            first, _, _, last = self.model.classifier
            assert isinstance(first, nn.Linear)
            for parameter in (first.bias, *last.parameters()):
                parameter.requires_grad_(False)
            self._face_columns = first.weight.detach()[:, :FEATURES].clone()

    def on_train_batch_start(self, *_: Any) -> None:
        for module in self._kept:
            module.eval()

    def on_train_batch_end(self, *_: Any) -> None:
        if self._face_columns is not None:
            first = self.model.classifier[0]
            assert isinstance(first, nn.Linear)
            first.weight.data[:, :FEATURES] = self._face_columns

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
