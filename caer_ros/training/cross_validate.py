# SPDX-License-Identifier: Apache-2.0
"""Cross-validate a network by film: how well does it read films it has never seen?

    caer cross-validate config/train/films.yaml --variant full \\
        --data folder:FILMS --init models/caer_net_s.safetensors --output runs/films_full

Each fifth of the films is judged by a network that was trained on three other fifths; the last
fifth chooses among its epochs. No film is in two of these parts.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.engines.base import Engine
from caer_ros.engines.select import make_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.files import write_json
from caer_ros.training.datasets import add_data_arguments, read
from caer_ros.training.evaluate import Judgement, judge, report, table
from caer_ros.training.examples import DataError, Example
from caer_ros.training.settings import read_settings
from caer_ros.training.train import add_run_arguments, train

FOLDS = 5

VARIANTS: dict[str, dict[str, Any]] = {
    "face": {"streams": "face"},
    "context": {"streams": "context", "context_attention": "spatial"},
    "concatenation": {"streams": "both", "context_attention": "none", "fusion": "concatenate"},
    "full": {"streams": "both", "context_attention": "spatial", "fusion": "adaptive"},
    "face_conditioned": {
        "streams": "both",
        "context_attention": "face_conditioned",
        "fusion": "adaptive",
    },
}
"""The networks that are compared: settings of `network`."""


def folds_of(examples: Sequence[Example], seed: int) -> list[list[Example]]:
    """Deal examples into folds of about equal size, all of a group into the same one.

    The largest groups come first, each to the fold that is smallest then; `seed` orders groups of
    one size.

    Raises:
        DataError: where there are fewer groups than folds.
    """
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        groups[example.group].append(example)
    if len(groups) < FOLDS:
        raise DataError(f"{len(groups)} films or videos cannot make {FOLDS} folds")
    names = sorted(groups)
    np.random.default_rng(seed).shuffle(names)
    folds: list[list[Example]] = [[] for _ in range(FOLDS)]
    for name in sorted(names, key=lambda name: -len(groups[name])):
        min(folds, key=len).extend(groups[name])
    return folds


def in_memory(examples: Sequence[Example]) -> list[Example]:
    """Return the examples with their frames decoded, for sets that are read often and fit."""
    return [
        dataclasses.replace(example, load=partial(list, example.load())) for example in examples
    ]


def torch_engine(weights: Path) -> Engine:
    """Return the engine that reads a checkpoint as it is, without a conversion."""
    return make_engine("torch", weights, EngineSettings(engine="torch", precision="f32"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--variant", choices=VARIANTS, required=True, help="network to train")
    add_data_arguments(parser)


def main(args: argparse.Namespace) -> int:
    settings = read_settings(args.config, args.seed)
    network = dataclasses.replace(settings.network, **VARIANTS[args.variant])
    settings = dataclasses.replace(settings, network=network)
    data = read(args.data, faces=args.faces)
    print(data)
    folds = [in_memory(fold) for fold in folds_of(data.examples, seed=settings.seed)]
    judgements: list[Judgement] = []
    for number, fold in enumerate(folds):
        chooser = folds[(number + 1) % FOLDS]
        rest = [e for other in folds if other is not fold and other is not chooser for e in other]
        run = args.output / f"fold_{number}"
        provenance = {"data": args.data, "split": f"fold {number} of {FOLDS} by film left out"}
        train(settings, rest, chooser, run, args.init, provenance)
        judgements.append(judge(torch_engine(run / "weights.safetensors"), fold))
        print(f"fold {number}: accuracy {judgements[-1].metrics.accuracy:.4f} of {len(fold)}")
    together = Judgement(
        *(
            np.concatenate([getattr(judgement, field.name) for judgement in judgements])
            for field in dataclasses.fields(Judgement)
        )
    )
    print(table(together))
    figures = {
        **report(together),
        "folds": [judgement.metrics.accuracy for judgement in judgements],
        "data": data.report(),
    }
    write_json(args.output / "figures.json", figures)
    return 0
