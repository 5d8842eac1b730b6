# SPDX-License-Identifier: Apache-2.0
"""Fit the temperature for film frames, and keep it in the weights beside the one for photographs.

`engine.temperature: film` then uses it. How well it fits films that it was not fitted on is
printed: the films are split in five, and each part is judged at the temperature of the others.
Weights that have an ONNX form need `caer export` afterwards.
"""

from __future__ import annotations

import argparse
import dataclasses
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.training.cross_validate import torch_engine
from caer_ros.training.datasets import add_data_arguments, read
from caer_ros.training.evaluate import Judgement, judge
from caer_ros.training.examples import DataError
from caer_ros.training.metrics import measure
from caer_ros.training.train import fit_temperature

FOLDS = 5


def logits_of(judgement: Judgement, temperature: float) -> np.ndarray:
    """Return logits, float64 (N, 7), whose softmax at `temperature` are the probabilities."""
    return temperature * np.log(np.maximum(judgement.probabilities, 1e-30))


def cross_fitted(
    logits: np.ndarray, labels: np.ndarray, groups: Sequence[str]
) -> tuple[np.ndarray, list[float]]:
    """Return probabilities (N, 7), each at the temperature of other groups, and those fitted.

    Raises:
        DataError: for fewer groups than folds.
    """
    names = sorted(set(groups), key=lambda name: (zlib.crc32(name.encode()), name))
    if len(names) < FOLDS:
        raise DataError(
            f"{len(names)} films cannot be split in {FOLDS}: name them as docs/training.md says"
        )
    fold_of = {name: place % FOLDS for place, name in enumerate(names)}
    folds = np.array([fold_of[group] for group in groups])
    probabilities, temperatures = np.empty_like(logits), []
    for fold in range(FOLDS):
        part = folds == fold
        temperatures.append(fit_temperature(logits[~part], labels[~part]))
        probabilities[part] = softmax(logits[part] / temperatures[-1], axis=1)
    return probabilities, temperatures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path, help="checkpoint to calibrate (.safetensors)")
    add_data_arguments(parser)


def main(args: argparse.Namespace) -> int:
    model = load_checkpoint(args.weights)
    data = read(args.data, "all", faces=args.faces)
    print(data)
    examples = [e for e in data.examples if e.has_face or not model.spec.has_face]
    engine = torch_engine(args.weights)
    judgement = judge(engine, examples)
    engine.close()
    labels, logits = judgement.labels, logits_of(judgement, model.spec.temperature)
    others, temperatures = cross_fitted(logits, labels, judgement.groups.tolist())
    film = fit_temperature(logits, labels)
    errors = {
        f"photo, {model.spec.temperature:.2f}": judgement.probabilities,
        f"film, {film:.2f}, fitted on the same": softmax(logits / film, axis=1),
        f"of other films, {min(temperatures):.2f} to {max(temperatures):.2f}": others,
    }
    print("expected calibration error at temperature")
    for name, probabilities in errors.items():
        print(f"  {name:36} {measure(labels, probabilities).calibration_error:.4f}")
    model.spec = dataclasses.replace(model.spec, film_temperature=film)
    # as it is stored: fitting changes no weight
    save_checkpoint(model, args.weights)
    print(f"{args.weights}; `caer export {args.weights}` renews its ONNX form")
    return 0
