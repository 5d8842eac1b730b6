# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: one safetensors file with the weights and, as metadata, what they are."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from caer_ros.files import write_file
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import WeightsError, read_spec


def save_checkpoint(model: CaerNet, path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write `model` to `path`, its floating tensors as `dtype`, in one step.

    The file appears whole or not at all: where the disk is full, what was at `path` stays.

    Raises:
        FileError: where the file cannot be written.
    """
    state = {
        name: tensor.to("cpu", dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
        for name, tensor in model.state_dict().items()
    }
    write_file(path, save(state, metadata=model.spec.to_metadata()))


def load_checkpoint(path: Path) -> CaerNet:
    """Return the network in `path` as float32 on the CPU, ready for inference.

    Raises:
        WeightsError: where the file is missing, truncated, or not what its metadata say.
    """
    spec = read_spec(path)
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {error}") from error
    model = CaerNet(spec)
    expected = model.state_dict()
    for name in sorted(set(expected) | set(state)):
        if name not in state:
            raise WeightsError(f"{path} lacks {name}, which a {spec.architecture} of its spec has")
        if name not in expected:
            raise WeightsError(f"{path} has {name}, which a {spec.architecture} of its spec lacks")
        if state[name].shape != expected[name].shape:
            raise WeightsError(
                f"{path} has {name} of shape {tuple(state[name].shape)}, "
                f"expected {tuple(expected[name].shape)}"
            )
        if not torch.isfinite(state[name]).all():
            raise WeightsError(f"{path} has values in {name} that are not finite")
    model.load_state_dict(state)
    return model.eval()
