# SPDX-License-Identifier: Apache-2.0
"""Every layout through real training steps and an evaluation, by the commands people use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from caer_ros.cli import main as caer
from caer_ros.network.checkpoint import load_checkpoint
from caer_ros.training.datasets import ferplus

from .conftest import write_picture, write_scene, write_scene_video

STATIC = "{streams: both, face_size: 24, context_size: 32}"
VIDEO = "{architecture: caer_net, clip_length: 8, streams: both, face_size: 24, context_size: 32}"
FACE = "{streams: face, face_size: 24}"

CLASSES = ("Happy", "Sad")
VOTES = {"Happy": "0,10,0,0,0,0,0,0,0,0", "Sad": "0,0,0,10,0,0,0,0,0,0"}


def caer_videos(root: Path) -> str:
    for split in ("train", "validation", "test"):
        for name in CLASSES:
            write_scene_video(root / split / name / "0001.avi", frames=5)
    return f"caer:{root}"


def caer_s(root: Path) -> str:
    for split, count in (("train", 4), ("test", 1)):
        for name in CLASSES:
            for index in range(count):
                write_scene(root / split / name / f"{index:04}.png", index=2 * index)
    return f"caer-s:{root}"


def afew(root: Path) -> str:
    for split in ("Train_AFEW", "Val_AFEW"):
        for name in CLASSES:
            write_scene_video(root / split / name / "000046280.avi", frames=5)
    return f"afew:{root}"


def ferplus_folders(root: Path) -> str:
    lines = [",".join(["Usage", "Image name", *ferplus.VOTES])]
    for usage, folder in (("Training", "FER2013Train"), ("PublicTest", "FER2013Valid")):
        for number, (name, votes) in enumerate(VOTES.items()):
            write_picture(root / folder / f"{name}.png", shade=80 * number, size=(48, 48))
            lines.append(f"{usage},{name}.png,{votes}")
    (root / "fer2013new.csv").write_text("\n".join(lines))
    return f"ferplus:{root}"


def ferplus_archives(root: Path) -> str:
    votes = np.array([list(map(int, row.split(","))) for row in VOTES.values()], np.uint8)
    for split in ("train", "valid"):
        images = np.zeros((len(votes), 48, 48), np.uint8)
        np.savez(root / f"{split}.npz", images=images, votes=votes)
    return f"ferplus:{root}"


def boxes(root: Path) -> str:
    lines = []
    for number in range(4):
        face = write_scene(root / f"{number}.png", index=number).face
        lines.append(f"{number}.png,{CLASSES[number % 2]},{face.x1},{face.y1},{face.x2},{face.y2}")
    (root / "list.txt").write_text("\n".join(lines))
    return f"boxes:{root / 'list.txt'}"


def scenes(root: Path) -> str:
    for name in CLASSES:
        for film in range(3):
            file = f"Film{film}_00000000{film}_00000001.png"
            write_scene(root / name / file, index=2 * film)
    return f"folder:{root}"


def drawn(_: Path) -> str:
    return "synthetic:6"


def drawn_clips(_: Path) -> str:
    return "synthetic-clips:2"


@pytest.mark.parametrize(
    ("layout", "network", "faces"),
    [
        (caer_videos, VIDEO, False),
        (caer_videos, STATIC, False),
        (caer_s, STATIC, False),
        (afew, VIDEO, False),
        (ferplus_folders, FACE, False),
        (ferplus_archives, FACE, False),
        (boxes, STATIC, False),
        (scenes, STATIC, False),
        (scenes, FACE, True),
        (drawn, STATIC, False),
        (drawn_clips, VIDEO, False),
    ],
)
def test_a_layout_trains_and_is_judged(
    layout: Callable[[Path], str], network: str, faces: bool, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    source = layout(tmp_path / "data")
    config = tmp_path / "tiny.yaml"
    config.write_text(f"{{epochs: 1, batch_size: 2, workers: 0, network: {network}}}")
    data = ["--data", source, *(["--faces"] if faces else [])]
    assert caer(["train", str(config), *data, "--output", str(tmp_path / "run")]) == 0
    weights = tmp_path / "run" / "weights.safetensors"
    data_used = load_checkpoint(weights).spec.provenance["data"]
    assert re.fullmatch(rf"{source.split(':')[0]} \(\d+ train, \d+ validation\)", data_used)
    figures = tmp_path / "figures.json"
    judge = ["evaluate", "--weights", str(weights), "--engine", "torch", "--json", str(figures)]
    assert caer([*judge, *data]) == 0
    found = json.loads(figures.read_text())
    assert found["examples"] == found["data"]["examples"] > 0
    assert found["face_weight"] + found["context_weight"] == pytest.approx(1)
