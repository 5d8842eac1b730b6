# SPDX-License-Identifier: Apache-2.0
"""Engines in order of preference, run as one that does not give up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from caer_ros.engines.base import Batch, Engine, EngineError, OutOfMemoryError, Prediction
from caer_ros.files import FileError
from caer_ros.paths import PathError

logger = logging.getLogger(__name__)


class FallbackEngine(Engine):
    """The first of several engines that loads, and the next ones should it run out of memory.

    Batches larger than the engine takes are run in parts. A batch for which the device has no
    memory is halved, from then on; when a single person does not fit, the next engine takes over.
    """

    def __init__(self, makers: Sequence[Callable[[], Engine]], power: float = 1.0) -> None:
        """Load the first engine that can run; the reasons of those passed over are one warning.

        Probabilities are raised to `power` and sum to 1 again, which is another temperature.

        Raises:
            EngineError: when none can run, with all reasons.
        """
        self._makers = list(makers)
        self._power = power
        self._use(*self._load())

    def infer(self, batch: Batch) -> Prediction:
        while True:
            try:
                parts = [self._engine.infer(part) for part in batch.split(self.max_batch)]
                return _powered(_join(parts), self._power)
            except OutOfMemoryError as error:
                count = min(len(batch), self.max_batch)
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


def _powered(prediction: Prediction, power: float) -> Prediction:
    if power == 1:
        return prediction
    raised = prediction.probabilities**power
    return replace(prediction, probabilities=raised / raised.sum(axis=1, keepdims=True))


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
