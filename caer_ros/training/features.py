# SPDX-License-Identifier: Apache-2.0
"""What a frozen scene encoder makes of a fixed number of draws of each example, kept on disk.

A frozen encoder says the same of the same picture in every epoch, and is nearly all of the work.
So each example is drawn a few times, the encoder runs once over each, and what trains behind it
chooses among these versions: an epoch takes seconds, and another seed or recipe of what stands
behind the encoder starts from the same folder.

The folder, `features-<key>` beside the run, holds safetensors of `SHARD` examples each: `faces`,
uint8 (N, versions, size, size, 3), and `maps`, float16 (N, versions, channels, height, width). The
key tells everything that decides these: the encoder's weights, the examples, how they are drawn
and cut. A run that was killed goes on with the next file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch.utils.data import Dataset
from tqdm import tqdm

from caer_ros.files import FileError, write_file
from caer_ros.network.model import CaerNet
from caer_ros.training.data import CropDataset, Draw

SHARD = 128
"""Examples of a file."""

DRAWS = 1
"""Of the draws' random numbers, and the first to change where crops or looks change."""


class FeatureDataset(Dataset):
    """The items of `crops` with `maps`, what the encoder made of it, in place of `contexts`.

    Of `versions` versions the first is the example as it is, the others are drawn as `crops` does.
    Indexed with a `Draw` it gives the version that the draw's seed chooses; indexed with a number
    the first.

    Raises:
        DataError: where an example cannot be read.
        FileError: where a file cannot be written.
    """

    def __init__(
        self, crops: CropDataset, model: CaerNet, versions: int, precision: str, beside: Path
    ) -> None:
        self.crops = crops
        self.versions = versions
        self.folder = beside / f"features-{_key(crops, model, versions, precision)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"features cannot be kept in {self.folder}: {error}") from error
        self._parts = [
            self._part(start, model, precision)
            for start in tqdm(
                range(0, len(crops), SHARD), unit=f"x{SHARD} examples", leave=False, disable=None
            )
        ]

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, draw: Draw | int) -> dict[str, np.ndarray]:
        if isinstance(draw, Draw):
            index, version = draw.index, draw.seed % self.versions
        else:
            index, version = draw, 0
        part, row = self._parts[index // SHARD], index % SHARD
        item = {name: values[row, version] for name, values in part.items()}
        return {**self.crops.lesson(index), **item}

    def _part(self, start: int, model: CaerNet, precision: str) -> dict[str, np.ndarray]:
        """Return the arrays of the examples from `start` on, from the disk if they are there."""
        path = self.folder / f"{start:06}.safetensors"
        if path.is_file():
            try:
                return load_file(path)
            except SafetensorError:
                path.unlink()  # cut short by something else than us
        indices = range(start, min(start + SHARD, len(self.crops)))
        items = [self.crops[draw] for index in indices for draw in self._draws(index)]
        contexts = np.stack([item.pop("contexts") for item in items])
        drawn = items[0].keys() - self.crops.lesson(start).keys()
        values = {name: np.stack([item[name] for item in items]) for name in sorted(drawn)}
        values["maps"] = encode(model, contexts, precision)
        arrays = {
            name: np.ascontiguousarray(
                array.reshape(len(indices), self.versions, *array.shape[1:])
            )
            for name, array in values.items()
        }
        write_file(path, save(arrays))
        return arrays

    def _draws(self, index: int) -> list[Draw | int]:
        seeds = np.random.default_rng((DRAWS, index)).integers(2**63, size=self.versions)
        size = self.crops.spec.face_size
        return [index, *(Draw(index, int(seed), size) for seed in seeds[1:])]


def encode(model: CaerNet, contexts: np.ndarray, precision: str) -> np.ndarray:
    """Return the maps of the scene encoder, float16 (N, channels, height, width)."""
    training = model.training
    model.eval()
    kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    maps = []
    with torch.inference_mode(), torch.autocast("cpu", kind, enabled=kind == torch.bfloat16):
        for batch in torch.from_numpy(contexts).split(32):
            maps.append(model.scene_maps(batch).half().numpy())
    model.train(training)
    return np.concatenate(maps)


def _key(crops: CropDataset, model: CaerNet, versions: int, precision: str) -> str:
    """Return a hash of all that decides the features."""
    spec, key = crops.spec, hashlib.sha256()
    for name, tensor in model.context_encoder.state_dict().items():
        key.update(name.encode() + tensor.contiguous().numpy().tobytes())
    said = {
        "draws": DRAWS,
        "versions": versions,
        "precision": precision,
        "augment": dataclasses.asdict(crops.augment),
        "hide_face": crops.hide_face,
        "sizes": [spec.face_size if spec.has_face else 0, spec.context_size, *spec.scene_size],
        "examples": [(example.name, str(example.boxes)) for example in crops.examples],
    }
    key.update(json.dumps(said).encode())
    return key.hexdigest()[:16]
