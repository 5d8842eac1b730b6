"""Does CAER-Net use the surroundings, and does it look where the answer stands?

    python -m caer_ros.training.context_study config/train/context_study.yaml --output runs/study

Trains on drawn scenes (`caer_ros.training.synthetic`), where the truth is known: each stream by
itself, then from these two a plain concatenation, the paper's network with both attentions, and
the same with the attention conditioned on the face. All are judged on scenes that none has seen.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.engines.base import Engine
from caer_ros.engines.select import make_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.spec import NetworkSpec
from caer_ros.perception.crops import CropSettings, context_crop, face_crop, shrink_scene
from caer_ros.training.cross_validate import VARIANTS
from caer_ros.training.datasets import synthetic
from caer_ros.training.examples import Example, one_hot
from caer_ros.training.settings import TrainSettings, read_settings
from caer_ros.training.synthetic import HEIGHT, WIDTH, Scene, draw_scene
from caer_ros.training.train import train
from caer_ros.types import Emotion, Face

FIRST_CONTEXT_SIZE = 64

ALONE: dict[str, dict[str, Any]] = {
    "face": VARIANTS["face"],
    "context": VARIANTS["context"],
    "context_plain": {**VARIANTS["context"], "context_attention": "none"},
}
"""The streams by themselves; both untrained, one would win the fusion weights at once."""

JOINT = {"full": "context", "concatenation": "context_plain", "face_conditioned": "context"}
"""Networks of both streams, and the context stream that each starts from."""


@dataclass(frozen=True)
class Findings:
    """What a network does on scenes of which the truth is known.

    in_face, around: accuracy where the face shows the label, and where only the target does.
    context_in_face, context_around: mean weight of the context stream there.
    on_target, on_face: attention mass on the target and on the face, each divided by its share of
        the area, the mean over scenes; None without attention. on_face_unhidden: the same where
        the face is not blacked out.
    """

    accuracy: float
    in_face: float
    around: float
    context_in_face: float
    context_around: float
    on_target: float | None
    on_face: float | None
    on_face_unhidden: float | None


def examine(engine: Engine, scenes: Sequence[Scene]) -> Findings:
    """Run the network on `scenes`, with the faces hidden as always and once more not hidden."""
    spec = engine.spec
    right, weights = [], []
    on_target, on_face, on_face_unhidden = [], [], []
    for scene in scenes:
        face, context, unhidden = pictures(scene, spec)
        index = np.zeros(1, np.int64) if spec.has_context else None
        prediction = engine.infer(face, context, index)
        right.append(prediction.probabilities[0].argmax() == scene.label)
        weights.append(prediction.context_weight[0])
        if prediction.attention is not None:
            on_target.append(gain(prediction.attention[0], scene.target, spec.context_size))
            on_face.append(gain(prediction.attention[0], scene.face, spec.context_size))
            attention = engine.infer(face, unhidden, index).attention
            assert attention is not None
            on_face_unhidden.append(gain(attention[0], scene.face, spec.context_size))
    in_face = np.array([scene.in_face for scene in scenes])
    return Findings(
        accuracy=float(np.mean(right)),
        in_face=float(np.array(right)[in_face].mean()),
        around=float(np.array(right)[~in_face].mean()),
        context_in_face=float(np.array(weights)[in_face].mean()),
        context_around=float(np.array(weights)[~in_face].mean()),
        on_target=float(np.nanmean(on_target)) if on_target else None,
        on_face=float(np.nanmean(on_face)) if on_face else None,
        on_face_unhidden=float(np.nanmean(on_face_unhidden)) if on_face_unhidden else None,
    )


def pictures(
    scene: Scene, spec: NetworkSpec
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the face, the context and the context with nothing hidden, each a batch of one."""
    face = context = unhidden = None
    if spec.has_face:
        margin = CropSettings().face_margin
        face = face_crop(scene.image, scene.face, spec.face_size, margin)[None]
    if spec.has_context:
        small = shrink_scene(scene.image, spec.context_size)
        context = context_crop(small, [scene.face], spec.context_size)[None]
        unhidden = context_crop(small, [], spec.context_size)[None]
    return face, context, unhidden


def gain(attention: np.ndarray, box: Face, size: int) -> float:
    """Return how much more attention lies on `box` than an even spread would put there.

    The map covers the centre crop of `size` pixels; each cell's mass is spread over its area. NaN
    where the crop does not show the box.
    """
    scene = shrink_scene(np.zeros((HEIGHT, WIDTH, 3), np.uint8), size)
    height, width = scene.image.shape[:2]
    left, top = (width - size) // 2, (height - size) // 2
    x = np.clip([box.x1 / scene.scale_x - left, box.x2 / scene.scale_x - left], 0, size)
    y = np.clip([box.y1 / scene.scale_y - top, box.y2 / scene.scale_y - top], 0, size)
    area = (x[1] - x[0]) * (y[1] - y[0]) / size**2
    if area == 0:
        return float("nan")
    rows, columns = attention.shape
    inside = np.outer(_covered(y[0], y[1], rows, size), _covered(x[0], x[1], columns, size))
    return float((attention * inside).sum() / area)


def _covered(low: float, high: float, cells: int, size: int) -> np.ndarray:
    """Return which part of each of `cells` along an edge of `size` lies between low and high."""
    edges = np.linspace(0, size, cells + 1)
    overlap = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return np.maximum(overlap, 0) * cells / size


def run(settings: TrainSettings, count: int, output: Path) -> dict[str, Findings]:
    """Train all networks on `count` scenes into folders of `output`; return what they found.

    Streams by themselves see scenes of `FIRST_CONTEXT_SIZE` pixels, in a third of the time;
    networks of both go on at full size, for half as many epochs.
    """
    examples = examples_of(scenes_of("train", count))
    chooser = examples_of(scenes_of("validation", max(2, count // 8)))
    scenes = scenes_of("test", max(2, count // 4))
    findings: dict[str, Findings] = {}

    def fit(name: str, epochs: int, network: dict[str, Any], init: list[Path]) -> None:
        network_settings = dataclasses.replace(settings.network, **network)
        own = dataclasses.replace(settings, epochs=epochs, network=network_settings)
        provenance = {"data": f"synthetic:{count}", "seed": str(settings.seed)}
        train(own, examples, chooser, output / name, init, provenance)
        findings[name] = examine(load(output, name), scenes)
        print(f"{name}: {findings[name]}", flush=True)

    for name, network in ALONE.items():
        fit(name, settings.epochs, {**network, "context_size": FIRST_CONTEXT_SIZE}, [])
    for name, context in JOINT.items():
        streams = [weights(output, "face"), weights(output, context)]
        fit(name, max(1, settings.epochs // 2), VARIANTS[name], streams)
    return findings


def scenes_of(split: str, count: int) -> list[Scene]:
    """Return the first scenes of a split."""
    return [draw_scene(synthetic.SPLITS.index(split), index) for index in range(count)]


def examples_of(scenes: Sequence[Scene]) -> list[Example]:
    """Return scenes as examples in memory: drawing one costs as much as learning from it."""
    return [
        Example(str(i), str(i), one_hot(s.label), partial(list, [s.image]), (s.face,))
        for i, s in enumerate(scenes)
    ]


def weights(output: Path, name: str) -> Path:
    return output / name / "weights.safetensors"


def load(output: Path, name: str) -> Engine:
    settings = EngineSettings(engine="torch", precision="f32", threads=1)
    return make_engine("torch", weights(output, name), settings)


def table(findings: dict[str, Findings]) -> str:
    """Return the findings as a Markdown table."""
    lines = [
        "| network | accuracy | label in the face | label around it | context weight, face tells "
        "| context weight, face does not | attention on target | on hidden face "
        "| on face not hidden |",
        "|---|" + "---:|" * 8,
    ]
    for name, found in findings.items():
        shares = [found.accuracy, found.in_face, found.around]
        shares += [found.context_in_face, found.context_around]
        gains = [found.on_target, found.on_face, found.on_face_unhidden]
        cells = [f"{value:.3f}" for value in shares]
        cells += ["" if value is None else f"x {value:.1f}" for value in gains]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(engine: Engine, scenes: Sequence[Scene], path: Path) -> None:
    """Draw scenes and where the network looks in them, face hidden and not, into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.3 * len(scenes), 7), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(3, len(scenes))
    for (top, middle, bottom), scene in zip(rows.T, scenes, strict=True):
        face, context, unhidden = pictures(scene, engine.spec)
        assert context is not None and unhidden is not None
        index = np.zeros(1, np.int64)
        prediction = engine.infer(face, context, index)
        answer = Emotion(int(prediction.probabilities[0].argmax()))
        top.imshow(scene.image[..., ::-1])
        where = "face" if scene.in_face else "target"
        top.set_title(f"{scene.label.label}, told by the {where}", fontsize=9)
        for axes, seen in ((middle, context), (bottom, unhidden)):
            attention = engine.infer(face, seen, index).attention
            assert attention is not None
            cell = engine.spec.context_size // attention.shape[-1]
            axes.imshow(seen[0][..., ::-1])
            axes.imshow(np.kron(attention[0], np.ones((cell, cell))), cmap="magma", alpha=0.6)
        middle.set_title(
            f"says {answer.label}, context {prediction.context_weight[0]:.2f}", fontsize=9
        )
        bottom.set_title("face not hidden", fontsize=9)
    for axes in rows.flat:
        axes.set_axis_off()
    figure.savefig(path, dpi=70)


def main(args: argparse.Namespace) -> int:
    findings = run(read_settings(args.config), args.scenes, args.output)
    print(table(findings))
    found = {name: dataclasses.asdict(value) for name, value in findings.items()}
    (args.output / "findings.json").write_text(json.dumps(found, indent=2) + "\n")
    draw(load(args.output, "full"), scenes_of("test", 6), args.output / "attention.png")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="settings of the training")
    parser.add_argument("--scenes", type=int, default=2000, help="to train on")
    parser.add_argument("--output", type=Path, required=True, help="folder of the runs")
    raise SystemExit(main(parser.parse_args()))
