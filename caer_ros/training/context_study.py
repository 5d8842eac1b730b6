# SPDX-License-Identifier: Apache-2.0
"""Does CAER-Net use the surroundings, and does it look where the answer stands?

    caer context-study config/train/context_study.yaml --output runs/study

Trains on drawn scenes (`caer_ros.training.synthetic`), where the truth is known. First each stream
by itself, the surroundings averaged; then, all from these two and for as many epochs, a plain
concatenation, the paper's network with both attentions, and variants of it; at last CAER-Net, the
paper's network inflated and tuned on clips. All are judged on scenes that none has seen.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.engines.base import Batch, Engine
from caer_ros.files import write_json
from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.inflate import inflate
from caer_ros.network.spec import NetworkSpec
from caer_ros.perception.crops import shrink_scene
from caer_ros.training.cross_validate import VARIANTS, torch_engine
from caer_ros.training.datasets import synthetic
from caer_ros.training.evaluate import views
from caer_ros.training.examples import Example, one_hot
from caer_ros.training.settings import TrainSettings, read_settings
from caer_ros.training.synthetic import HEIGHT, WIDTH, Scene, draw_scene
from caer_ros.training.train import train
from caer_ros.types import Emotion, Face


@dataclass(frozen=True)
class Case:
    """A network of the study.

    network: settings of `network`. init: cases it starts from; those that start from none train
    for half of the epochs, the others for all. hide_face: as in `TrainSettings`, and it is judged
    in the same way.
    """

    network: dict[str, Any]
    init: tuple[str, ...] = ()
    hide_face: bool = True


STREAMS = ("face", "context")

CASES = {
    "face": Case(VARIANTS["face"]),
    "context": Case({"streams": "context", "context_attention": "none"}),
    "full": Case(VARIANTS["full"], STREAMS),
    "concatenation": Case(VARIANTS["concatenation"], STREAMS),
    "face_shown": Case(VARIANTS["full"], STREAMS, hide_face=False),
    "face_conditioned": Case(VARIANTS["face_conditioned"], STREAMS),
}
"""In the order they are trained. The context stream learns without attention, so that all others
start from the same streams; were both untrained, one would win the fusion weights at once."""

SCENES_A_CLIP = 20
"""The video network is tuned on a clip for so many scenes: it costs as much."""


@dataclass(frozen=True)
class Findings:
    """What a network does on scenes of which the truth is known.

    in_face, around: accuracy where the face shows the label, and where only the target does.
    context_in_face, context_around: mean weight of the context stream there.
    on_target, on_face: attention mass on the target that counts and on the face, each divided by
        its share of the area, the mean over scenes; None without attention.
    """

    accuracy: float
    in_face: float
    around: float
    context_in_face: float
    context_around: float
    on_target: float | None
    on_face: float | None


def examine(engine: Engine, clips: Sequence[Sequence[Scene]], hide: bool = True) -> Findings:
    """Run the network on clips of scenes, one scene each for a CAER-Net-S.

    Boxes are those of the middle scene. With `hide` the face is blacked out as always.
    """
    spec = engine.spec
    right, weights, on_target, on_face = [], [], [], []
    for clip in clips:
        face, context = pictures(clip, spec, hide)
        index = np.zeros(1, np.int64) if spec.has_context else None
        prediction = engine.infer(Batch(face, context, index))
        middle = clip[len(clip) // 2]
        right.append(prediction.probabilities[0].argmax() == middle.label)
        weights.append(prediction.context_weight[0])
        if prediction.attention is not None:
            on_target.append(gain(prediction.attention[0], middle.target, spec))
            on_face.append(gain(prediction.attention[0], middle.face, spec))
    in_face = np.array([clip[0].in_face for clip in clips])
    return Findings(
        accuracy=float(np.mean(right)),
        in_face=float(np.array(right)[in_face].mean()),
        around=float(np.array(right)[~in_face].mean()),
        context_in_face=float(np.array(weights)[in_face].mean()),
        context_around=float(np.array(weights)[~in_face].mean()),
        on_target=float(np.nanmean(on_target)) if on_target else None,
        on_face=float(np.nanmean(on_face)) if on_face else None,
    )


def pictures(
    clip: Sequence[Scene], spec: NetworkSpec, hide: bool
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the face and the context of a clip as the network takes them, a batch of one."""
    (example,) = examples_of([clip])
    face, context = next(views(example, spec, hide_face=hide))
    return None if face is None else face[None], None if context is None else context[None]


def gain(attention: np.ndarray, box: Face, spec: NetworkSpec) -> float:
    """Return how much more attention lies on `box` than an even spread would put there.

    The map covers the scene as `spec` cuts it; each cell's mass is spread over its area. NaN
    where the crop does not show the box.
    """
    size = spec.context_size
    scene = shrink_scene(np.zeros((HEIGHT, WIDTH, 3), np.uint8), spec.scene_size)
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


def compare(
    settings: TrainSettings, cases: Mapping[str, Case], count: int, output: Path
) -> dict[str, Findings]:
    """Train `cases` in their order on `count` scenes into folders of `output`; examine each."""
    examples = examples_of(clips_of("train", count))
    chooser = examples_of(clips_of("validation", count // 8))
    test = clips_of("test", count // 4)
    half = dataclasses.replace(settings, epochs=max(1, settings.epochs // 2))
    provenance = {"data": f"synthetic:{count}"}
    findings = {}
    for name, case in cases.items():
        own = dataclasses.replace(
            settings if case.init else half,
            network=dataclasses.replace(settings.network, **case.network),
            hide_face=case.hide_face,
        )
        init = [weights(output, stream) for stream in case.init]
        train(own, examples, chooser, output / name, init, provenance)
        findings[name] = examine(torch_engine(weights(output, name)), test, case.hide_face)
        print(f"{name}: {findings[name]}", flush=True)
    return findings


def tune_video(
    settings: TrainSettings, start: Path, count: int, output: Path
) -> dict[str, Findings]:
    """Inflate the weights `start` and tune them on `count` clips, at a tenth of the learning rate.

    Returns what the video network does on clips before and after.
    """
    video = inflate(load_checkpoint(start))
    length = video.spec.clip_length
    initial = output / "inflated" / "weights.safetensors"
    initial.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(video, initial)
    own = dataclasses.replace(
        settings,
        epochs=max(1, settings.epochs // 6),
        learning_rate=settings.learning_rate / 10,
        # torch 2.13 on a CPU has garbage for the bf16 gradient of the attention's last 3D kernel
        precision="32-true",
        network=dataclasses.replace(settings.network, architecture="caer_net", clip_length=length),
    )
    examples = examples_of(clips_of("train", count, length))
    chooser = examples_of(clips_of("validation", max(1, count // 4), length))
    provenance = {"data": f"synthetic-clips:{count}"}
    train(own, examples, chooser, output / "video", [initial], provenance)
    test = clips_of("test", count, length)
    return {
        name: examine(torch_engine(weights(output, name)), test) for name in ("inflated", "video")
    }


def clips_of(split: str, count: int, length: int = 1) -> list[list[Scene]]:
    """Return the first scenes of a split, each in `length` moments."""
    seed = synthetic.SPLITS.index(split)
    moments = np.linspace(1, 0, length)[::-1].tolist()
    return [[draw_scene(seed, index, moment) for moment in moments] for index in range(count)]


def examples_of(clips: Sequence[Sequence[Scene]]) -> list[Example]:
    """Return clips as examples in memory: drawing one costs as much as learning from it."""
    return [
        Example(
            str(i),
            str(i),
            one_hot(clip[0].label),
            partial(list, [scene.image for scene in clip]),
            tuple(scene.face for scene in clip),
        )
        for i, clip in enumerate(clips)
    ]


def weights(output: Path, name: str) -> Path:
    return output / name / "weights.safetensors"


def table(findings: dict[str, Findings]) -> str:
    """Return the findings as a Markdown table."""
    lines = [
        "| network | accuracy | label in the face | label around it | context weight, face tells "
        "| context weight, face does not | attention on target | on face |",
        "|---|" + "---:|" * 7,
    ]
    for name, found in findings.items():
        shares = [found.accuracy, found.in_face, found.around]
        shares += [found.context_in_face, found.context_around]
        cells = [f"{value:.3f}" for value in shares]
        cells += [
            "" if value is None else f"x {value:.1f}" for value in (found.on_target, found.on_face)
        ]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(hidden: Engine, shown: Engine, scenes: Sequence[Scene], path: Path) -> None:
    """Draw scenes, and where networks trained with the face hidden and shown look, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.3 * len(scenes), 7), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(3, len(scenes))
    for (top, *below), scene in zip(rows.T, scenes, strict=True):
        top.imshow(scene.image[..., ::-1])
        where = "face" if scene.in_face else "target"
        top.set_title(f"{scene.label.label}, told by the {where}", fontsize=9)
        for axes, engine, hide in zip(below, (hidden, shown), (True, False), strict=True):
            face, context = pictures([scene], engine.spec, hide)
            assert context is not None
            prediction = engine.infer(Batch(face, context, np.zeros(1, np.int64)))
            assert prediction.attention is not None
            answer = Emotion(int(prediction.probabilities[0].argmax()))
            cell = engine.spec.context_size // prediction.attention.shape[-1]
            axes.imshow(context[0][..., ::-1])
            mass = np.kron(prediction.attention[0], np.ones((cell, cell)))
            axes.imshow(mass, cmap="magma", alpha=0.6)
            axes.set_title(
                f"says {answer.label}, context {prediction.context_weight[0]:.2f}", fontsize=9
            )
    for axes in rows.flat:
        axes.set_axis_off()
    figure.savefig(path, dpi=70)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="settings, config/train/context_study.yaml")
    parser.add_argument("--scenes", type=int, default=2000, help="to train on")
    parser.add_argument("--seed", type=int, help="of the training; default: the config's")
    parser.add_argument("--output", type=Path, required=True, help="folder of the runs")


def main(args: argparse.Namespace) -> int:
    settings = read_settings(args.config, args.seed)
    findings = compare(settings, CASES, args.scenes, args.output)
    full, face_shown = (weights(args.output, name) for name in ("full", "face_shown"))
    test = clips_of("test", args.scenes // 4)
    findings["full_sees_the_face"] = examine(torch_engine(full), test, hide=False)
    findings |= tune_video(settings, full, args.scenes // SCENES_A_CLIP, args.output)
    print(table(findings))
    found = {name: dataclasses.asdict(value) for name, value in findings.items()}
    write_json(args.output / "findings.json", found)
    scenes = [clip[0] for clip in clips_of("test", 6)]
    draw(torch_engine(full), torch_engine(face_shown), scenes, args.output / "attention.png")
    return 0
