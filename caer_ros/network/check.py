# SPDX-License-Identifier: Apache-2.0
"""What `caer export` keeps beside a model, so that a damaged one is noticed before it answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from caer_ros.files import write_json
from caer_ros.network.spec import NetworkSpec

SUFFIX = ".check.json"

PERSONS = 2


@dataclass(frozen=True)
class ModelCheck:
    """Hashes of a checkpoint and its ONNX form (SHA-256), and the answer to `fixed_crops`.

    probabilities: `PERSONS` rows of seven, from eager float32.
    """

    weights: str
    onnx: str
    probabilities: list[list[float]]


def write_check(weights: Path, onnx: Path, probabilities: np.ndarray) -> None:
    """Write the check of `weights` beside its ONNX form.

    Raises:
        FileError: where it cannot be written.
    """
    check = ModelCheck(sha256(weights), sha256(onnx), np.round(probabilities, 6).tolist())
    write_json(onnx.with_suffix(SUFFIX), asdict(check))


def read_check(model: Path, weights: Path) -> ModelCheck | None:
    """Return the check beside `model`, which is `weights` itself or its ONNX form.

    None where there is none that was made of these weights as they are now.
    """
    try:
        check = ModelCheck(**json.loads(model.with_suffix(SUFFIX).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return check if check.weights == sha256(weights) else None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fixed_crops(
    spec: NetworkSpec,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return faces, contexts and context_index of `PERSONS` persons in one scene, always the same.

    Large blocks of colour that change over time: noise looks all the same to a network.
    """

    def blocks(count: int, size: int) -> np.ndarray:
        shape = (count, spec.clip_length, 4, 4, 3)
        # Knuth's multiplicative hash: no library's random numbers, which may change
        values = (np.arange(np.prod(shape), dtype=np.uint64) + 1) * 2654435761 % 2**32 >> 24
        where = np.arange(size) * 4 // size
        pictures = values.astype(np.uint8).reshape(shape)[:, :, where][:, :, :, where]
        return np.ascontiguousarray(pictures if spec.is_video else pictures[:, 0])

    return (
        blocks(PERSONS, spec.face_size) if spec.has_face else None,
        blocks(1, spec.context_size) if spec.has_context else None,
        np.zeros(PERSONS, np.int64) if spec.has_context else None,
    )
