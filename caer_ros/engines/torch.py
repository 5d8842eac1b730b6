# SPDX-License-Identifier: Apache-2.0
"""CAER-Net in PyTorch: the reference that the other engines are held against."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from caer_ros.engines.base import Batch, Engine, EngineError, OutOfMemoryError, Prediction
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.checkpoint import load_checkpoint

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class TorchEngine(Engine):
    """The network as trained, on the first CUDA device, else on the CPU."""

    name = "torch"

    def __init__(self, weights: Path, settings: EngineSettings) -> None:
        """Load the network and fold its batch normalisation.

        Raises:
            WeightsError: for weights that are missing or broken.
            EngineError: for a precision the device does not have.
        """
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.device = "CPU"
        if self._device.type == "cuda":
            self.device = torch.cuda.get_device_name(self._device)
        # the reference is exact: what is faster than f32 has to be asked for
        self.precision = "f32" if settings.precision == "auto" else settings.precision
        known = ("f32", "bf16") if self._device.type == "cpu" else tuple(DTYPES)
        if self.precision not in known:
            raise EngineError(
                f"precision {self.precision} is not one of torch's on {self.device} "
                f"({', '.join(known)})"
            )
        # all cores would be no faster alone and fifty times slower beside any other busy thread,
        # for which torch's own threads then wait spinning
        cores = len(os.sched_getaffinity(0))
        self._threads = settings.threads or max(1, min(4, cores - 1))
        model = load_checkpoint(weights)
        self.spec = model.spec
        fold_normalisation(model)
        layout = torch.channels_last_3d if self.spec.is_video else torch.channels_last
        self._model = model.to(self._device, DTYPES[self.precision])
        for parameter in self._model.parameters():
            if parameter.dim() == (5 if self.spec.is_video else 4):
                parameter.data = parameter.data.contiguous(memory_format=layout)

    @torch.inference_mode()
    def infer(self, batch: Batch) -> Prediction:
        try:
            with _process_state(self._threads):
                scores, weights, attention = self._model(*map(self._tensor, batch.arrays))
        except RuntimeError as error:
            raise device_error(error, self.device) from error
        return Prediction(
            _array(scores),
            _array(weights[:, 0]),
            _array(weights[:, 1]),
            None if attention is None else _array(attention),
        )

    def close(self) -> None:
        del self._model
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _tensor(self, array: np.ndarray | None) -> Tensor | None:
        return None if array is None else torch.from_numpy(array).to(self._device)


@contextmanager
def _process_state(threads: int) -> Iterator[None]:
    """Run the body on so many threads and in full f32; leave the process as it was.

    On a GPU convolutions would else round f32 to TF32's 10 bits.
    """
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.allow_tf32
    torch.set_num_threads(threads)
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.allow_tf32 = before[1]


def fold_normalisation(model: nn.Module) -> None:
    """Fold each batch normalisation of `model`, in eval mode, into the convolution before it."""
    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for index in range(len(module) - 1):
            before, after = module[index], module[index + 1]
            if isinstance(before, nn.Conv2d | nn.Conv3d) and isinstance(
                after, nn.BatchNorm2d | nn.BatchNorm3d
            ):
                module[index] = fuse_conv_bn_eval(before, after)
                module[index + 1] = nn.Identity()


def device_error(error: RuntimeError, device: str) -> EngineError:
    """Return what torch or TensorRT raised as an error of ours; frees what torch keeps unused.

    Memory runs out in several ways: torch's allocator, the CUDA runtime and TensorRT say so; of
    cuBLAS and cuDNN it is the status that an allocation failed.
    """
    signs = ("out of memory", "outofmemory", "alloc_failed", "allocation_failed")
    if not any(sign in str(error).lower() for sign in signs):
        return EngineError(f"inference failed on {device}: {error}")
    torch.cuda.empty_cache()
    return OutOfMemoryError(f"{device} is out of memory ({error})")


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
