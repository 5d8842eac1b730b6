# SPDX-License-Identifier: Apache-2.0
"""The one interface between persons and networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from caer_ros.network.spec import NetworkSpec
from caer_ros.types import CaerError


class EngineError(CaerError):
    """An engine that cannot be made or cannot run."""


class OutOfMemoryError(EngineError):
    """The device has no memory left for a batch; a smaller one may still fit."""


@dataclass(frozen=True)
class Prediction:
    """What the network says of N persons.

    probabilities: float32 (N, 7), rows summing to 1, in `Emotion` order.
    face_weight, context_weight: float32 (N,), the fusion weights, summing to 1.
    attention: float32 (N, height, width) summing to 1 over the cells (the mean over time for a
        clip), or None where the network has no context stream or does not attend.
    """

    probabilities: np.ndarray
    face_weight: np.ndarray
    context_weight: np.ndarray
    attention: np.ndarray | None


class Engine(ABC):
    """A network ready to run.

    name: `openvino`, `torch` or `tensorrt`; device and precision: what it runs on and in, as
    shown in the diagnostics, e.g. `CPU` and `bf16`. max_batch: most persons one call may have.
    """

    name: str
    device: str
    precision: str
    spec: NetworkSpec
    max_batch: int = 2**31

    @abstractmethod
    def infer(
        self,
        faces: np.ndarray | None,
        contexts: np.ndarray | None,
        context_index: np.ndarray | None,
    ) -> Prediction:
        """Run the network on N persons of any cameras at once; N is at least 1.

        Args:
            faces: uint8 BGR (N, face_size, face_size, 3), or (N, clip_length, face_size,
                face_size, 3) for a video network; None for a network without a face stream.
            contexts: uint8 BGR (M, context_size, context_size, 3), or with clip_length as above;
                M at most N, several persons may share one scene; None without a context stream.
            context_index: int64 (N,), which of the M scenes is person n's; None as `contexts`.

        Raises:
            EngineError: where the engine failed; the caller may go on with the next frame.
        """

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Free what the engine holds; it must not be used afterwards."""


def count_persons(faces: np.ndarray | None, context_index: np.ndarray | None) -> int:
    """Return N, given the arguments of `Engine.infer` that have it."""
    persons = faces if faces is not None else context_index
    if persons is None:
        raise EngineError("neither faces nor context_index were given")
    return len(persons)
