# SPDX-License-Identifier: Apache-2.0
"""Engines in order of preference, run as one that does not give up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from caer_ros.engines.base import (
    Engine,
    EngineError,
    OutOfMemoryError,
    Prediction,
    count_persons,
)
from caer_ros.files import FileError
from caer_ros.paths import PathError

logger = logging.getLogger(__name__)

Arrays = tuple["np.ndarray | None", "np.ndarray | None", "np.ndarray | None"]


class FallbackEngine(Engine):
    """The first of several engines that loads, and the next ones should it run out of memory.

    Batches larger than the engine takes are run in parts. A batch for which the device has no
    memory is halved, from then on; when a single person does not fit, the next engine takes over.
    """

    def __init__(self, makers: Sequence[Callable[[], Engine]]) -> None:
        """Load the first engine that can run; the reasons of those passed over are one warning.

        Raises:
            EngineError: when none can run, with all reasons.
        """
        self._makers = list(makers)
        self._use(*self._load())

    def infer(
        self,
        faces: np.ndarray | None,
        contexts: np.ndarray | None,
        context_index: np.ndarray | None,
    ) -> Prediction:
        while True:
            try:
                parts = _split(faces, contexts, context_index, self.max_batch)
                return _join([self._engine.infer(*part) for part in parts])
            except OutOfMemoryError as error:
                count = min(count_persons(faces, context_index), self.max_batch)
                if count > 1:
                    self.max_batch = count // 2
                    logger.warning("%s: batches of %d from now on", error, self.max_batch)
                elif self._makers:
                    self._engine.close()
                    self._use(*self._load(str(error)))
                else:
                    raise

    def close(self) -> None:
        self._engine.close()

    def _load(self, *reasons: str) -> tuple[Engine, list[str]]:
        failed = list(reasons)
        while self._makers:
            make = self._makers.pop(0)
            try:
                return make(), failed
            except (EngineError, FileError, PathError) as error:
                failed.append(str(error))
        raise EngineError("no engine can run: " + "; ".join(failed))

    def _use(self, engine: Engine, failed: list[str]) -> None:
        if failed:
            logger.warning("%s; using %s on %s", "; ".join(failed), engine.name, engine.device)
        self._engine = engine
        self.name = engine.name
        self.device = engine.device
        self.precision = engine.precision
        self.spec = engine.spec
        self.max_batch = engine.max_batch


def _split(
    faces: np.ndarray | None,
    contexts: np.ndarray | None,
    context_index: np.ndarray | None,
    size: int,
) -> Iterator[Arrays]:
    """Yield the batch in parts of at most `size` persons, each with the scenes it needs."""
    count = count_persons(faces, context_index)
    if count <= size:
        yield faces, contexts, context_index
        return
    for start in range(0, count, size):
        part = slice(start, start + size)
        part_faces = faces[part] if faces is not None else None
        if contexts is None or context_index is None:
            yield part_faces, None, None
        else:
            scenes, index = np.unique(context_index[part], return_inverse=True)
            yield part_faces, contexts[scenes], index.astype(np.int64)


def _join(parts: list[Prediction]) -> Prediction:
    if len(parts) == 1:
        return parts[0]
    return Prediction(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.face_weight for part in parts]),
        np.concatenate([part.context_weight for part in parts]),
        None
        if parts[0].attention is None
        else np.concatenate([part.attention for part in parts if part.attention is not None]),
    )
