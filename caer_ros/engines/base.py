# SPDX-License-Identifier: Apache-2.0
"""The one interface between persons and networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from caer_ros.network.spec import NetworkSpec
from caer_ros.types import CaerError


class EngineError(CaerError):
    """An engine that cannot be made or cannot run."""


class OutOfMemoryError(EngineError):
    """The device has no memory left for a batch; a smaller one may still fit."""


@dataclass(frozen=True, eq=False)
class Batch:
    """The crops of N persons of any cameras, as a network reads them; N is at least 1.

    faces: uint8 BGR (N, face_size, face_size, 3), or (N, clip_length, face_size, face_size, 3)
        for a video network; None for a network without a face stream.
    contexts: uint8 BGR (M, context_size, context_size, 3), or with clip_length as above; several
        persons may share one of the M scenes; None for a network without a context stream.
    context_index: int64 (N,), which of the M scenes is person n's; None as `contexts`.
    """

    faces: np.ndarray | None = None
    contexts: np.ndarray | None = None
    context_index: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check the arrays against each other, once for all engines.

        Raises:
            EngineError: naming the array that does not fit.
        """
        for name, pictures in (("faces", self.faces), ("contexts", self.contexts)):
            if pictures is None:
                continue
            if pictures.dtype != np.uint8 or pictures.ndim not in (4, 5) or not len(pictures):
                raise EngineError(
                    f"{name} are {pictures.dtype} {pictures.shape}, expected uint8 "
                    "(N, [clip,] size, size, 3)"
                )
        index = self.context_index
        if (self.contexts is None) != (index is None):
            raise EngineError("contexts and context_index come together or not at all")
        if self.contexts is None or index is None:
            if self.faces is None:
                raise EngineError("a batch needs faces or contexts")
            return
        if index.ndim != 1 or not len(index) or index.dtype != np.int64:
            raise EngineError(f"context_index is {index.dtype} {index.shape}, expected int64 (N,)")
        if index.min() < 0 or index.max() >= len(self.contexts):
            raise EngineError(
                f"context_index reaches from {index.min()} to {index.max()}, there are "
                f"{len(self.contexts)} contexts"
            )
        if self.faces is not None and len(self.faces) != len(index):
            raise EngineError(f"{len(self.faces)} faces do not fit {len(index)} context_index")

    def __len__(self) -> int:
        """Return N."""
        persons = self.context_index if self.faces is None else self.faces
        assert persons is not None  # checked when it was made
        return len(persons)

    @property
    def arrays(self) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """The three arrays, in the order in which the network takes them."""
        return self.faces, self.contexts, self.context_index

    def split(self, size: int) -> Iterator[Batch]:
        """Yield the batch in parts of at most `size` persons, each with the scenes it needs."""
        if len(self) <= size:
            yield self
            return
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            faces = None if self.faces is None else self.faces[part]
            if self.contexts is None or self.context_index is None:
                yield Batch(faces)
            else:
                scenes, index = np.unique(self.context_index[part], return_inverse=True)
                yield Batch(faces, self.contexts[scenes], index.astype(np.int64))

    @classmethod
    def blank(cls, spec: NetworkSpec, persons: int) -> Batch:
        """Return black crops of `persons` persons in one scene, for the network `spec`."""
        clip = (spec.clip_length,) if spec.is_video else ()
        faces = np.zeros((persons, *clip, spec.face_size, spec.face_size, 3), np.uint8)
        scene = np.zeros((1, *clip, spec.context_size, spec.context_size, 3), np.uint8)
        return cls(
            faces if spec.has_face else None,
            scene if spec.has_context else None,
            np.zeros(persons, np.int64) if spec.has_context else None,
        )


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
    def infer(self, batch: Batch) -> Prediction:
        """Run the network on the persons of `batch`.

        Raises:
            EngineError: where the engine failed; the caller may go on with the next frame.
        """

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Free what the engine holds; it must not be used afterwards."""
