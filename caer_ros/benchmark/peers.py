# SPDX-License-Identifier: Apache-2.0
"""Other programs on the same frames: PyPI `fer` and npm `@vladmandic/face-api`.

They are installed into the cache folder when they are first asked for, never beside ours.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from caer_ros.benchmark.account import WARM_UP
from caer_ros.benchmark.contest import (
    BenchmarkError,
    Contender,
    OwnContender,
    PeerContender,
    contest,
)
from caer_ros.benchmark.pipeline import Scenario, repeat
from caer_ros.benchmark.scenes import compose, load_people
from caer_ros.engines.settings import EngineSettings
from caer_ros.paths import cache_folder
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.settings import build

HERE = Path(__file__).parent

FER = ("fer==25.10.3",)
FER_NEEDS = (
    "ai-edge-litert==2.3.0",
    "numpy==2.2.6",
    "opencv-python-headless==4.12.0.88",
    "pillow==13.0.0",
    "requests==2.34.2",
    "setuptools==79.0.1",
)
"""What `fer.fer` imports; of its own list, TensorFlow and torch among it, it needs no more."""

FACE_API = (
    "@vladmandic/face-api@1.7.15",
    "@tensorflow/tfjs@4.22.0",
    "@tensorflow/tfjs-backend-wasm@4.22.0",
)


def measure_peers(
    material: Path, threads: int, quick: bool, folder: Path
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Time our pipeline and the peers that this machine can run, on 640x480 with 1 and 5 faces.

    Returns rows for the report, and ratios such as `ours_f32_vs_fer/5_persons`: how many times
    the frames per second of the peer.
    """
    commands = _install()
    people = load_people(material)
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    for persons in (1, 5):
        frames = compose(people, 640, 480, persons)
        contenders: dict[str, Contender] = {
            name: OwnContender(_load, Scenario(640, 480, persons, settings, interval), material)
            for name, settings, interval in _ours(threads)
        }
        for name, command in commands.items():
            contenders[name] = PeerContender(command, frames, folder / f"{name}.log")
        try:
            results = contest(contenders, 4 if quick else 20, 5)
        finally:
            for contender in contenders.values():
                contender.close()
        for name, result in results.items():
            per_second = 1e3 / result["mean_ms"]
            rows.append(
                {
                    "contender": name,
                    "persons": persons,
                    "faces_found": contenders[name].faces,
                    "frames_per_second": per_second,
                    **result,
                }
            )
            for peer in commands:
                if name not in commands:
                    ratio = results[peer]["mean_ms"] / result["mean_ms"]
                    ratios[f"{name}_vs_{peer}/{persons}_persons"] = ratio
    return rows, ratios


def _ours(threads: int) -> list[tuple[str, EngineSettings, int]]:
    f32 = EngineSettings(engine="openvino", precision="f32", threads=threads)
    best = EngineSettings(threads=threads)
    return [("ours_f32", f32, 1), ("ours_auto", best, 1), ("ours_auto_every_3rd", best, 3)]


def _load(scenario: Scenario, material: Path) -> Callable[[], int]:
    scene = compose(load_people(material), scenario.width, scenario.height, scenario.persons)
    pipeline = EmotionPipeline.from_settings(build(PipelineSettings, scenario.parameters))
    images = repeat(scene)
    for _ in range(WARM_UP):
        pipeline.process([next(images)])
    return lambda: len(pipeline.process([next(images)])[0].readings)


def _install() -> dict[str, Sequence[str | Path]]:
    """Return the command of every peer that this machine can run."""
    folder = cache_folder() / "peers"
    commands: dict[str, Sequence[str | Path]] = {}
    python = folder / "fer" / "bin" / "python"
    if not (folder / "fer" / "ready").exists():
        print("installing fer, once")
        _run(sys.executable, "-m", "venv", "--clear", folder / "fer")
        _run(python, "-m", "pip", "install", "--quiet", *FER_NEEDS)
        _run(python, "-m", "pip", "install", "--quiet", "--no-deps", *FER)
        (folder / "fer" / "ready").touch()
    commands["fer"] = [python, HERE / "fer_peer.py"]
    if node := shutil.which("node"):
        face_api = folder / "face_api"
        if not (face_api / "ready").exists():
            print("installing face-api, once")
            face_api.mkdir(parents=True, exist_ok=True)
            (face_api / "package.json").write_text("{}")
            _run("npm", "install", "--ignore-scripts", "--prefix", face_api, *FACE_API)
            (face_api / "ready").touch()
        commands["face_api"] = [node, HERE / "face_api_peer.mjs", face_api]
    else:
        print("Node.js is not installed: face-api is left out")
    return commands


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode:
        raise BenchmarkError(f"{' '.join(map(str, command))} failed: {result.stderr[-1000:]}")
