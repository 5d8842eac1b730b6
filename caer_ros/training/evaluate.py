# SPDX-License-Identifier: Apache-2.0
"""Judge weights on a data set: figures on the screen, as JSON and as a picture."""

from __future__ import annotations

import argparse
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from caer_ros.arguments import new_file
from caer_ros.engines.base import Batch, Engine
from caer_ros.engines.select import load_engine
from caer_ros.engines.settings import ENGINES, PRECISIONS, EngineSettings
from caer_ros.files import write_json
from caer_ros.network.spec import CLASSES, NetworkSpec, read_spec, resolve_weights
from caer_ros.perception.boxes import corners, iou
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.training.cut import boxes_of, check, class_mask, cut
from caer_ros.training.damage import AREAS, DAMAGES, damaged, darkened
from caer_ros.training.datasets import SPLITS, add_data_arguments, own_splits, read
from caer_ros.training.examples import DataError, Example, fingerprint
from caer_ros.training.metrics import Metrics, calibration, measure, paired_interval
from caer_ros.types import Emotion, Face

BATCH = 32
"""Windows given to the engine at once."""


SCENES = ("shown", "shuffled", "hidden", "dark")


@dataclass(frozen=True)
class Conditions:
    """How examples are shown.

    damage: a kind of `damage.DAMAGES`, or "" for none; area: of the frame or the face alone.
    scene: shown as it is, that of another example in its place, black, or as `damaged` makes it
        dark while the face stays in the light. A gain that stays with shuffled scenes is none; a
        dark room alone makes nobody sad.
    """

    damage: str = ""
    area: str = "frame"
    scene: str = "shown"


@dataclass(frozen=True)
class Judgement:
    """What a network said of N examples.

    labels: int64 (N,). probabilities: float64 (N, 7), the mean over an example's windows, over
        the classes that its data set has.
    weights: float64 (N, 2), face and context, the mean as well.
    groups: of each example, see `Example.group`.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    weights: np.ndarray
    groups: np.ndarray

    @property
    def metrics(self) -> Metrics:
        return measure(self.labels, self.probabilities)

    @property
    def right(self) -> np.ndarray:
        """Whether the most probable class is the label, float64 (N,)."""
        return (self.probabilities.argmax(axis=1) == self.labels).astype(float)


def judge(
    engine: Engine, examples: Iterable[Example], conditions: Conditions = Conditions()
) -> Judgement:
    """Run the network on every example, clips in windows that overlap by half (section 5.1).

    A clip shorter than a window repeats its last frame; a network for single frames reads each.

    Raises:
        DataError: where an example cannot be read, or lacks the scene that the network needs.
    """
    examples = list(examples)
    probabilities = np.zeros((len(examples), len(Emotion)))
    weights = np.zeros((len(examples), 2))
    counts = np.zeros(len(examples))
    show = Showing(examples, engine.spec, conditions)
    windows = (
        (index, *pictures)
        for index in tqdm(range(len(examples)), unit="example", leave=False, disable=None)
        for pictures in show.views(index)
    )
    while batch := list(itertools.islice(windows, BATCH)):
        owners, faces, contexts = (list(column) for column in zip(*batch, strict=True))
        prediction = engine.infer(
            Batch(
                np.stack(faces) if engine.spec.has_face else None,
                np.stack(contexts) if engine.spec.has_context else None,
                np.arange(len(batch)) if engine.spec.has_context else None,
            )
        )
        np.add.at(probabilities, owners, prediction.probabilities)
        both = np.stack([prediction.face_weight, prediction.context_weight], axis=1)
        np.add.at(weights, owners, both)
        np.add.at(counts, owners, 1)
    classes = np.array([class_mask(example) for example in examples])
    probabilities = probabilities / counts[:, None] * classes
    return Judgement(
        np.array([example.label for example in examples]),
        probabilities / probabilities.sum(axis=1, keepdims=True),
        weights / counts[:, None],
        np.array([example.group for example in examples]),
    )


class Showing:
    """Shows examples to a network under some conditions, the same at every call."""

    def __init__(
        self, examples: Sequence[Example], spec: NetworkSpec, conditions: Conditions
    ) -> None:
        self.examples = examples
        self.spec = spec
        self.conditions = conditions
        self._detector: FaceDetector | None = None
        # nobody keeps the own scene: a cycle through all examples
        order = np.random.default_rng(0).permutation(len(examples))
        self._other = np.empty(len(examples), int)
        self._other[order] = np.roll(order, 1)

    def views(self, index: int) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
        """Yield face and context of each window, as an engine takes them without a batch axis."""
        example = self.examples[index]
        check(example, self.spec)
        scene = self.conditions.scene if self.spec.has_context else "shown"
        faces, contexts = self._cut(index)
        if scene == "shuffled":
            others = self._cut(int(self._other[index]))[1]
            assert contexts is not None and others is not None
            contexts = others[np.arange(len(contexts)) % len(others)]
        elif scene == "hidden":
            assert contexts is not None
            contexts = np.zeros_like(contexts)
        elif scene == "dark":
            assert contexts is not None
            contexts = darkened(contexts)
        yield from _windows(faces, contexts, self.spec)

    def _cut(self, index: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        example, conditions = self.examples[index], self.conditions
        frames = example.load()
        boxes = boxes_of(example, frames)
        if conditions.damage:
            # of the example and the kind alone: every network sees the same
            key = f"{conditions.damage}/{example.name}".encode()
            seed = int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
            frames = [
                damaged(conditions.damage, f, b, conditions.area, np.random.default_rng(seed))
                for f, b in zip(frames, boxes, strict=True)
            ]
        if conditions.damage == "roll":
            boxes = tuple(self._rolled(f, b) for f, b in zip(frames, boxes, strict=True))
        return cut(example, frames, boxes, self.spec)

    def _rolled(self, image: np.ndarray, face: Face) -> Face:
        """Return `face` with the roll that the detector sees, as on a robot."""
        if self._detector is None:
            self._detector = FaceDetector(DetectorSettings(min_size=1))
        # a face crop is too close for the detector
        room = round(max(face.width, face.height) * 0.4)
        around = cv2.copyMakeBorder(image, room, room, room, room, cv2.BORDER_REPLICATE)
        found = self._detector.detect(around)
        shifted = replace(
            face, x1=face.x1 + room, y1=face.y1 + room, x2=face.x2 + room, y2=face.y2 + room
        )
        overlap = iou(corners([shifted]), corners(found))[0]
        if not found or overlap.max() < 0.3:
            return face
        return replace(face, roll=found[int(overlap.argmax())].roll)


def views(
    example: Example, spec: NetworkSpec, *, hide_face: bool = True
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """Yield face and context of each window, as an engine takes them but without a batch axis.

    Without `hide_face` the face is left in the scene, which only studies do.
    """
    check(example, spec)
    frames = example.load()
    faces, contexts = cut(example, frames, boxes_of(example, frames), spec, hide_face=hide_face)
    yield from _windows(faces, contexts, spec)


def _windows(
    faces: np.ndarray | None, contexts: np.ndarray | None, spec: NetworkSpec
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    frames = faces if contexts is None else contexts
    assert frames is not None
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


def damage_table(
    judgements: Mapping[str, Judgement], others: Mapping[str, Judgement] | None = None
) -> str:
    """Return a line for each condition; with `others`, how much better than those, in points."""
    versus = "" if others is None else "     better by, 95 %"
    lines = [f"{'':12} accuracy     F1    ECE   face  context{versus}"]
    for name, judgement in judgements.items():
        metrics, (face, context) = judgement.metrics, judgement.weights.mean(axis=0)
        line = (
            f"{name:12} {metrics.accuracy:8.4f} {metrics.macro_f1:6.3f} "
            f"{metrics.calibration_error:6.3f} {face:6.3f} {context:8.3f}"
        )
        if others is not None:
            gain, low, high = advantage(judgement, others[name])
            line += f"   {100 * gain:+6.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
        lines.append(line)
    return "\n".join(lines)


def advantage(judgement: Judgement, other: Judgement) -> tuple[float, float, float]:
    """Return how much more is right than in `other`, and the interval by groups."""
    gain = judgement.right - other.right
    return float(gain.mean()), *paired_interval(gain, judgement.groups.tolist())


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
    parser.add_argument(
        "--damage",
        type=damages,
        default=[],
        metavar="KIND,…",
        help=f"judge damaged pictures too: {', '.join(DAMAGES)}, or all",
    )
    parser.add_argument(
        "--area", choices=AREAS, default="frame", help="what is damaged (default: %(default)s)"
    )
    parser.add_argument(
        "--scene",
        choices=SCENES,
        default="shown",
        help="another example's scene, none, or the own in the dark: a control",
    )
    parser.add_argument(
        "--against",
        metavar="WEIGHTS",
        help="judge these on the same pictures, and how much better the others are",
    )
    parser.add_argument(
        "--temperature",
        default="photo",
        help="as engine.temperature: photo, film or a number (default: %(default)s)",
    )
    parser.add_argument("--engine", choices=ENGINES, default="openvino", help="what runs it")
    parser.add_argument("--precision", choices=PRECISIONS, default="f32", help="of its arithmetic")
    parser.add_argument(
        "--json",
        type=new_file,
        metavar="FILE",
        help="write the figures to FILE, and a picture beside it with the ending .png",
    )


def damages(text: str) -> list[str]:
    """Parse the kinds of damage of the command line."""
    kinds = list(DAMAGES) if text == "all" else text.split(",")
    for kind in kinds:
        if kind not in DAMAGES:
            raise argparse.ArgumentTypeError(f"{kind!r} is none of {', '.join(DAMAGES)}")
    return kinds


def main(args: argparse.Namespace) -> int:
    if args.json and args.json.suffix == ".png":
        raise DataError(f"--json {args.json} is the picture's name; name it .json")
    weights = resolve_weights(args.weights)
    spec = read_spec(weights)
    split = args.split or default_split(args.data, spec, faces=args.faces)
    data = read(args.data, split, faces=args.faces)
    print(data)
    if len({example.group for example in data.examples}) == len(data.examples):
        print("  no films or subjects are named: pictures of one may be in both splits")
    if not args.split and split == "validation" and not own_splits(args.data):
        print(f"  {weights.name} was trained on the rest; --split all judges all of it")

    def judge_all(name: str, scene: str) -> tuple[Path, Engine, dict[str, Judgement]]:
        path = resolve_weights(name)
        engine = load_engine(
            EngineSettings(
                weights=str(path),
                engine=args.engine,
                precision=args.precision,
                temperature=args.temperature,
            )
        )
        seen = [e for e in data.examples if e.has_face or not spec.has_face]
        found = {
            damage or "none": judge(engine, seen, Conditions(damage, args.area, scene))
            for damage in ("", *args.damage)
        }
        engine.close()
        return path, engine, found

    _, engine, found = judge_all(args.weights, args.scene)
    others = judge_all(args.against, "shown")[2] if args.against else None
    judgement = found["none"]
    if not engine.spec.trained:
        print(f"{weights.name} was never trained: these are the figures of random weights")
    print(f"\n{weights.name} on {data.source} ({split}), {engine.name} {engine.precision}\n")
    print(table(judgement))
    if args.damage or others:
        print("\n" + damage_table(found, others))
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
                "temperature": args.temperature,
                "scene": args.scene,
                "damage": {name: report(found[name]) for name in args.damage},
                "against": {
                    name: advantage(found[name], other) for name, other in (others or {}).items()
                },
                "data": data.report(),
            },
        )
    return 0


def default_split(source: str, spec: NetworkSpec, *, faces: bool) -> str:
    """Return the test split, else the validation split, else all, but not what taught `spec`."""
    own = own_splits(source)
    for split in ("test", "validation"):
        if split in own:
            return split
    taught = spec.provenance.get("examples", "").split(", ")
    try:
        rest = read(source, "train", faces=faces)
    except DataError:
        return "all"  # nothing can be held out
    return "validation" if fingerprint(rest.examples) in taught else "all"


def write(path: Path, judgement: Judgement, origin: dict[str, Any]) -> None:
    """Write the figures to `path` as JSON and beside it as a picture."""
    picture = path.with_suffix(".png")
    try:
        write_json(path, {**report(judgement), **origin})
        draw(judgement, f"{origin['weights']} on {origin['data']['source']}", picture)
    except OSError as error:
        raise DataError(f"cannot write {path} and {picture}: {error}") from error
    print(f"\nwritten: {path}, {picture}")
