# SPDX-License-Identifier: Apache-2.0
"""Factories for the engine tests: checkpoints of every kind, crops that tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from caer_ros.engines.base import Batch, Prediction
from caer_ros.engines.tensorrt import input_shapes
from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.export import export_onnx
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec

# Small pictures and short clips: the arithmetic is the same and takes a tenth of the time.
SMALL = NetworkSpec(face_size=32, context_size=48)
SPECS = {
    "both": SMALL,
    "conditioned": replace(
        SMALL, architecture="caer_net", clip_length=8, context_attention="face_conditioned"
    ),
    "lite": replace(SMALL, context_encoder="efficientnet_lite0", context_view="whole"),
    "face": replace(SMALL, streams="face"),
    "mirrored": replace(SMALL, mirrored=True),
    "context": replace(SMALL, streams="context", context_attention="none"),
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make the checkpoint of one of `SPECS`, with its ONNX form beside it or without."""
    made: dict[str, Path] = {}

    def make(kind: str, onnx: bool = True) -> Path:
        if kind not in made:
            path = tmp_path_factory.mktemp(kind) / f"{kind}.safetensors"
            save_checkpoint(_decided(SPECS[kind]), path)
            made[kind] = path
        beside = made[kind].with_suffix(".onnx")
        if onnx and not beside.is_file():
            export_onnx(made[kind], beside)
        return made[kind]

    return make


@pytest.fixture
def crops() -> Callable[..., Batch]:
    """Draw the crops of `persons` persons in `scenes` scenes, for `spec`."""

    def draw(spec: NetworkSpec, persons: int, scenes: int = 1, seed: int = 0) -> Batch:
        rng = np.random.default_rng(seed)
        shapes = input_shapes(spec)

        def pictures(count: int, shape: tuple[int, ...]) -> np.ndarray:
            # a few large blocks of colour each: plain noise looks all the same to a network
            coarse = rng.integers(0, 256, (count, *shape[:-3], 4, 4, 3), np.uint8)
            return coarse.repeat(shape[-2] // 4, axis=-3).repeat(shape[-2] // 4, axis=-2)

        return Batch(
            pictures(persons, shapes[0]) if spec.has_face else None,
            pictures(scenes, shapes[-1]) if spec.has_context else None,
            np.arange(persons) % scenes if spec.has_context else None,
        )

    return draw


@pytest.fixture
def eager() -> Callable[[Path, Batch], Prediction]:
    """Run a checkpoint in plain PyTorch, float32: what every engine is held against."""

    @torch.inference_mode()
    def run(weights: Path, batch: Batch) -> Prediction:
        torch.set_num_threads(1)
        output = load_checkpoint(weights)(
            *(None if part is None else torch.from_numpy(part) for part in batch.arrays)
        )
        return Prediction(
            output.scores.numpy(),
            output.weights[:, 0].numpy(),
            output.weights[:, 1].numpy(),
            None if output.attention is None else output.attention.numpy(),
        )

    return run


def largest_difference(first: Prediction, second: Prediction) -> float:
    """Return the largest difference of any number in two predictions."""
    assert (first.attention is None) == (second.attention is None)
    pairs = [
        (first.probabilities, second.probabilities),
        (first.face_weight, second.face_weight),
        (first.context_weight, second.context_weight),
    ]
    if first.attention is not None and second.attention is not None:
        pairs.append((first.attention, second.attention))
    for one, other in pairs:
        assert one.shape == other.shape
        assert one.dtype == other.dtype == np.float32
    return max(float(np.abs(one - other).max()) for one, other in pairs)


def _decided(spec: NetworkSpec) -> CaerNet:
    """A random network that is as sure of its answers as a trained one."""
    torch.manual_seed(0)
    model = CaerNet(spec).train()
    examples = [torch.randint(256, (4, *shape), dtype=torch.uint8) for shape in input_shapes(spec)]
    faces = examples[0] if spec.has_face else None
    contexts = examples[-1] if spec.has_context else None
    with torch.no_grad():
        for _ in range(10):
            model.logits(faces, contexts)
        model.classifier[-1].weight *= 20
    return model.eval()
