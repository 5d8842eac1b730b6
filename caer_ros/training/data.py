# SPDX-License-Identifier: Apache-2.0
"""Examples become batches of uint8 crops, cut by the very functions the robot uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from caer_ros.network.spec import NetworkSpec
from caer_ros.training.augment import AugmentSettings, Look, draw_look
from caer_ros.training.cut import boxes_of, check, class_mask, cut
from caer_ros.training.examples import Example, one_hot
from caer_ros.training.settings import TrainSettings
from caer_ros.types import Face


class Draw(NamedTuple):
    """Which example, the seed of its augmentation, and the edge of its face crop."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    seed: int
    face_size: int


class CropDataset(Dataset):
    """Crops of examples: `faces` and `contexts` as the network takes them, `target` (7,).

    `classes`, bool (7,): which its data set has. `hidden`, bool: `Look.hides_face`.
    `taught`, float32 (N, 7), is what teachers say of each example; `distillation` its share.

    Indexed with a `Draw` it augments by the draw's seed, so that a run can be repeated and
    resumed; indexed with a number it gives the example as it is.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        spec: NetworkSpec,
        augment: AugmentSettings,
        soft_votes: bool = True,
        hide_face: bool = True,
        searched: float = 0.0,
        taught: np.ndarray | None = None,
        distillation: float = 0.0,
    ) -> None:
        for example in examples:
            check(example, spec)
        self.examples = examples
        self.spec = spec
        self.augment = augment
        self.soft_votes = soft_votes
        self.hide_face = hide_face
        self.searched = searched
        self.taught = taught
        self.distillation = distillation

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, draw: Draw | int) -> dict[str, np.ndarray]:
        if isinstance(draw, Draw):
            rng = np.random.default_rng(draw.seed)
            look = draw_look(self.augment, draw.face_size, rng)
            start, size = float(rng.random()), draw.face_size
        else:
            rng, look, start = np.random.default_rng(0), Look(), 0.5
            draw, size = Draw(draw, 0, self.spec.face_size), self.spec.face_size
        example = self.examples[draw.index]
        frames, boxes = window(example, self.spec.clip_length, start)
        faces, contexts = cut(
            example,
            frames,
            boxes,
            self.spec,
            look=look,
            rng=rng,
            face_size=size,
            hide_face=self.hide_face,
        )
        item = {**self.lesson(draw.index), "hidden": np.array(look.hides_face)}
        for name, pictures in (("faces", faces), ("contexts", contexts)):
            if pictures is not None:
                item[name] = pictures if self.spec.is_video else pictures[0]
        return item

    def lesson(self, index: int) -> dict[str, np.ndarray]:
        """Return what an example teaches, however it is drawn: `target` and `classes` (7,)."""
        example = self.examples[index]
        target = example.target if self.soft_votes else one_hot(example.label)
        if example.searched is not None and self.searched:
            target = target + self.searched * (one_hot(example.searched) - target)
        if self.taught is not None:
            target = target + self.distillation * (self.taught[index] - target)
        return {"target": target, "classes": class_mask(example)}


def window(
    example: Example, length: int, start: float
) -> tuple[list[np.ndarray], tuple[Face, ...]]:
    """Return `length` frames of an example and their boxes.

    `start`, 0 to 1, tells which of the possible windows; a shorter clip repeats its last frame.
    For a face crop the box is the whole picture.
    """
    frames = example.load()
    first = round(start * max(0, len(frames) - length))
    indices = [min(i, len(frames) - 1) for i in range(first, first + length)]
    boxes = boxes_of(example, frames)
    return [frames[i] for i in indices], tuple(boxes[i] for i in indices)


class BalancedSampler(Sampler[Draw]):
    """Draws as many examples an epoch as there are, or `settings.draws`, rare classes more often.

    Each example comes up as often as its weight tells, rounded up or down by chance. Epoch and
    seed alone decide the draws: what was drawn before does not matter.
    """

    def __init__(
        self, labels: Sequence[int], settings: TrainSettings, rank: int = 0, world: int = 1
    ) -> None:
        counts = np.bincount(labels)
        weights = counts[np.asarray(labels)] ** -settings.balance
        self.weights = weights * (len(weights) / weights.sum())
        self.settings = settings
        self.rank = rank
        self.world = world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        count = len(self.weights)
        return min(self.settings.draws or count, count) // self.world

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng((self.settings.seed, self.epoch))
        count = len(self.weights)
        order = rng.permutation(count)
        reached = np.cumsum(self.weights[order])
        chosen = np.searchsorted(reached, np.arange(count) + rng.random())
        chosen = rng.permutation(order[np.minimum(chosen, count - 1)])
        seeds = rng.integers(2**63, size=count)
        small = self.epoch < self.settings.first_epochs
        settings = self.settings
        size = settings.first_face_size if small else settings.network.face_size
        for i in range(self.rank, len(self) * self.world, self.world):
            yield Draw(int(chosen[i]), int(seeds[i]), size)


def quiet_worker(_: int) -> None:
    """Keep OpenCV in a reading process to the one thread it has."""
    cv2.setNumThreads(0)


class CaerData(LightningDataModule):
    """The batches of one run: training augmented and balanced, validation as it is.

    Under DDP every process draws its own share of the training examples and validates all.
    """

    def __init__(
        self,
        train: Sequence[Example],
        validation: Sequence[Example],
        spec: NetworkSpec,
        settings: TrainSettings,
        taught: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        hide = settings.hide_face
        self.labels = [int(example.label) for example in train]
        self.crops = (
            CropDataset(
                train,
                spec,
                settings.augment,
                settings.soft_votes,
                hide,
                settings.searched,
                taught,
                settings.distillation,
            ),
            CropDataset(validation, spec, AugmentSettings(), hide_face=hide),
        )
        self.train: Dataset = self.crops[0]
        self.validation: Dataset = self.crops[1]

    def train_dataloader(self) -> DataLoader:
        world = self.trainer.world_size if self.trainer else 1
        rank = self.trainer.global_rank if self.trainer else 0
        sampler = BalancedSampler(self.labels, self.settings, rank, world)
        return self._loader(self.train, sampler=sampler, drop_last=len(sampler) > self.batch_size)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.validation)

    @property
    def batch_size(self) -> int:
        return self.settings.batch_size

    def _loader(self, data: Dataset, **options: Any) -> DataLoader:
        return DataLoader(
            data,
            self.batch_size,
            num_workers=self.settings.workers,
            persistent_workers=self.settings.workers > 0,
            worker_init_fn=quiet_worker,
            **options,
        )
