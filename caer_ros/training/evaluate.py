# SPDX-License-Identifier: Apache-2.0
"""Judge weights on a data set: figures on the screen, as JSON and as a picture."""

from __future__ import annotations

import argparse
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from caer_ros.arguments import new_file
from caer_ros.engines.base import Batch, Engine
from caer_ros.engines.select import load_engine
from caer_ros.engines.settings import ENGINES, PRECISIONS, EngineSettings
from caer_ros.files import write_json
from caer_ros.network.spec import CLASSES, NetworkSpec, resolve_weights
from caer_ros.perception.crops import CropSettings, context_crop, face_crop, shrink_scene
from caer_ros.training.datasets import SPLITS, add_data_arguments, own_splits, read
from caer_ros.training.examples import DataError, Example
from caer_ros.training.metrics import Metrics, calibration, measure
from caer_ros.types import Emotion, Face

BATCH = 32
"""Windows given to the engine at once."""


@dataclass(frozen=True)
class Judgement:
    """What a network said of N examples.

    labels: int64 (N,). probabilities: float64 (N, 7), the mean over an example's windows.
    weights: float64 (N, 2), face and context, the mean as well.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    weights: np.ndarray

    @property
    def metrics(self) -> Metrics:
        return measure(self.labels, self.probabilities)


def judge(engine: Engine, examples: Iterable[Example]) -> Judgement:
    """Run the network on every example, clips in windows that overlap by half (section 5.1).

    A clip shorter than a window repeats its last frame; a network for single frames reads each.

    Raises:
        DataError: where an example cannot be read, or lacks the scene that the network needs.
    """
    examples = list(examples)
    probabilities = np.zeros((len(examples), len(Emotion)))
    weights = np.zeros((len(examples), 2))
    counts = np.zeros(len(examples))
    windows = (
        (index, *pictures)
        for index, example in enumerate(tqdm(examples, unit="example", leave=False, disable=None))
        for pictures in cut(example, engine.spec)
    )
    while part := list(itertools.islice(windows, BATCH)):
        owners, faces, contexts = (list(column) for column in zip(*part, strict=True))
        prediction = engine.infer(
            Batch(
                np.stack(faces) if engine.spec.has_face else None,
                np.stack(contexts) if engine.spec.has_context else None,
                np.arange(len(owners)) if engine.spec.has_context else None,
            )
        )
        np.add.at(probabilities, owners, prediction.probabilities)
        both = np.stack([prediction.face_weight, prediction.context_weight], axis=1)
        np.add.at(weights, owners, both)
        np.add.at(counts, owners, 1)
    labels = np.array([example.label for example in examples])
    return Judgement(labels, probabilities / counts[:, None], weights / counts[:, None])


def cut(
    example: Example, spec: NetworkSpec, *, hide_face: bool = True
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """Yield face and context of each window, as an engine takes them but without a batch axis.

    Without `hide_face` the face is left in the scene, which only studies do.
    """
    if spec.has_context and example.boxes is None:
        raise DataError(
            f"{example.name} is a face crop without a scene, which a network with "
            f"streams {spec.streams!r} needs; evaluate it on scenes, without --faces"
        )
    frames = example.load()
    boxes = example.boxes or tuple(Face(0, 0, f.shape[1], f.shape[0]) for f in frames)
    margin = CropSettings().face_margin if example.boxes else 0.0
    faces = contexts = None
    if spec.has_face:
        faces = np.stack(
            [face_crop(f, b, spec.face_size, margin) for f, b in zip(frames, boxes, strict=True)]
        )
    if spec.has_context:
        size = spec.context_size
        contexts = np.stack(
            [
                context_crop(shrink_scene(f, size), [b] if hide_face else [], size)
                for f, b in zip(frames, boxes, strict=True)
            ]
        )
    for indices in windows_of(len(frames), spec.clip_length):
        chosen = indices if spec.is_video else indices[0]
        yield (
            None if faces is None else faces[chosen],
            None if contexts is None else contexts[chosen],
        )


def windows_of(frames: int, length: int) -> Iterator[np.ndarray]:
    """Yield the frames of each window, int64 (length,): half of each in the next one too.

    The last window ends with the clip; the last frame is repeated in a clip that is shorter.
    """
    stride = max(1, length // 2)
    last = max(0, frames - length)
    for start in [*range(0, last, stride), last]:
        yield np.minimum(np.arange(start, start + length), frames - 1)


def report(judgement: Judgement) -> dict[str, Any]:
    """Return the figures as they are written to JSON; null for a class without examples."""
    metrics = judgement.metrics

    def number(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return {
        "accuracy": metrics.accuracy,
        "macro_f1": metrics.macro_f1,
        "expected_calibration_error": metrics.calibration_error,
        "face_weight": float(judgement.weights[:, 0].mean()),
        "context_weight": float(judgement.weights[:, 1].mean()),
        "examples": len(judgement.labels),
        "classes": {
            name: {
                "examples": int(metrics.confusion[i].sum()),
                "recall": number(metrics.recall[i]),
                "precision": number(metrics.precision[i]),
                "f1": number(metrics.f1[i]),
            }
            for i, name in enumerate(CLASSES)
        },
        "confusion": metrics.confusion.tolist(),
    }


def table(judgement: Judgement) -> str:
    """Return the figures as text."""
    metrics = judgement.metrics
    face, context = judgement.weights.mean(axis=0)
    lines = [
        f"accuracy                    {metrics.accuracy:.4f} of {len(judgement.labels)}",
        f"macro F1                    {metrics.macro_f1:.4f}",
        f"expected calibration error  {metrics.calibration_error:.4f}",
        f"fusion weights              face {face:.3f}, context {context:.3f}",
        "",
        f"{'':9} recall     F1   predicted: {'  '.join(f'{name:>8}' for name in CLASSES)}",
    ]
    for i, name in enumerate(CLASSES):
        row = "  ".join(f"{count:8}" for count in metrics.confusion[i])
        lines.append(f"{name:9} {metrics.recall[i]:6.3f} {metrics.f1[i]:6.3f}              {row}")
    return "\n".join(lines)


def draw(judgement: Judgement, title: str, path: Path) -> None:
    """Draw the confusion matrix and how far confidence can be believed into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metrics = judgement.metrics
    figure = Figure(figsize=(11, 5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    share = metrics.confusion / np.maximum(metrics.confusion.sum(axis=1, keepdims=True), 1)
    left.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for row, column in np.ndindex(share.shape):
        left.text(
            column,
            row,
            str(metrics.confusion[row, column]),
            ha="center",
            va="center",
            color="white" if share[row, column] > 0.5 else "black",
        )
    left.set_xticks(range(len(CLASSES)), CLASSES, rotation=45)
    left.set_yticks(range(len(CLASSES)), CLASSES)
    left.set(
        xlabel="predicted",
        ylabel="label",
        title=f"accuracy {metrics.accuracy:.3f}, macro F1 {metrics.macro_f1:.3f}",
    )
    confidence = judgement.probabilities.max(axis=1)
    correct = judgement.probabilities.argmax(axis=1) == judgement.labels
    bins, accuracy, mean_confidence = calibration(correct, confidence)
    filled = bins > 0
    right.plot([0, 1], [0, 1], color="grey", linewidth=1)
    right.plot(mean_confidence[filled], accuracy[filled], "o-", label="accuracy")
    right.bar(
        (np.arange(len(bins)) + 0.5) / len(bins),
        bins,
        1 / len(bins),
        color="lightgrey",
        zorder=0,
        label="share of examples",
    )
    right.legend(loc="upper left")
    right.set(
        xlabel="confidence",
        xlim=(0, 1),
        ylim=(0, 1),
        title=f"expected calibration error {metrics.calibration_error:.3f}",
    )
    figure.savefig(path, dpi=110)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        default="caer_net_s",
        help="a .safetensors file or a network of the package (default: %(default)s)",
    )
    add_data_arguments(parser)
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="default: the data set's test split, else its validation split, else all of it",
    )
    parser.add_argument("--engine", choices=ENGINES, default="openvino", help="what runs it")
    parser.add_argument("--precision", choices=PRECISIONS, default="f32", help="of its arithmetic")
    parser.add_argument(
        "--json",
        type=new_file,
        metavar="FILE",
        help="write the figures to FILE, and a picture beside it with the ending .png",
    )


def main(args: argparse.Namespace) -> int:
    if args.json and args.json.suffix == ".png":
        raise DataError(f"--json {args.json} is the picture's name; name it .json")
    own = own_splits(args.data)
    split = args.split or next((name for name in ("test", "validation") if name in own), "all")
    data = read(args.data, split, faces=args.faces)
    print(data)
    weights = resolve_weights(args.weights)
    engine = load_engine(
        EngineSettings(weights=str(weights), engine=args.engine, precision=args.precision)
    )
    judgement = judge(engine, data.examples)
    engine.close()
    if not engine.spec.trained:
        print(f"{weights.name} was never trained: these are the figures of random weights")
    print(f"\n{weights.name} on {data.source} ({split}), {engine.name} {engine.precision}\n")
    print(table(judgement))
    if args.json:
        write(
            args.json,
            judgement,
            {
                "weights": weights.name,
                "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
                "trained": list(engine.spec.trained),
                "engine": engine.name,
                "precision": engine.precision,
                "data": data.report(),
            },
        )
    return 0


def write(path: Path, judgement: Judgement, origin: dict[str, Any]) -> None:
    """Write the figures to `path` as JSON and beside it as a picture."""
    picture = path.with_suffix(".png")
    try:
        write_json(path, {**report(judgement), **origin})
        draw(judgement, f"{origin['weights']} on {origin['data']['source']}", picture)
    except OSError as error:
        raise DataError(f"cannot write {path} and {picture}: {error}") from error
    print(f"\nwritten: {path}, {picture}")
