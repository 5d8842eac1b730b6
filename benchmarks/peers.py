# SPDX-License-Identifier: Apache-2.0
"""Other programs on the same frames: PyPI `fer` and `mediapipe`, npm `@vladmandic/face-api`.

They are installed into the cache folder when they are first asked for (`fer` with its TensorFlow
takes 3 GB), never beside ours; face-api where there is Node.js, `mediapipe` up to Python 3.12.
Candidates run in turn; leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.arguments import new_file, whole_number
from caer_ros.benchmark.account import WARM_UP
from caer_ros.benchmark.interleaved import (
    BenchmarkError,
    Candidate,
    CandidateProcess,
    time_interleaved,
)
from caer_ros.benchmark.pipeline import Scenario, repeat
from caer_ros.benchmark.report import describe_machine, to_markdown
from caer_ros.benchmark.scenes import compose, load_people
from caer_ros.demo.material import fetch_material
from caer_ros.engines.settings import EngineSettings
from caer_ros.files import write_json
from caer_ros.paths import cache_folder
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.settings import build

HERE = Path(__file__).parent

READY = "ready.json"
"""What is installed in the folder of a peer."""

FER = (
    "fer==25.10.3",
    "ffmpeg-python==0.2.0",
    "matplotlib==3.10.8",
    "moviepy==1.0.3",
    "numpy==2.2.6",
    "opencv-python-headless==4.12.0.88",
    "pandas==2.3.3",
    "requests==2.34.2",
    "setuptools==79.0.1",
    "tensorflow==2.21.0",
)
"""It and what it needs: its own list without torch, which its defaults do not use, and older where
that list lets in what it does not run with: OpenCV 5 has no Haar cascades, setuptools 84 no
`pkg_resources`."""

MEDIAPIPE = (
    "mediapipe==0.10.21",
    "absl-py==2.5.1",
    "attrs==26.1.0",
    "flatbuffers==25.12.19",
    "matplotlib==3.10.8",
    "numpy==1.26.4",
    "opencv-contrib-python-headless==4.10.0.84",
    "protobuf==4.25.9",
)
"""The last release with its models in the wheel, and what its face mesh needs of its list."""

FACE_API = (
    "@vladmandic/face-api@1.7.15",
    "@tensorflow/tfjs@4.22.0",
    "@tensorflow/tfjs-backend-wasm@4.22.0",
)


class PeerProgram:
    """Another program, which is given frames and then told how many to work through.

    On its standard input it gets a line of JSON with the frames' shape and their bytes, and then
    lines with a number; to each it answers a line of JSON: `seconds`, a list, and `faces`, how
    many it found in the last frame.
    """

    def __init__(self, command: Sequence[str | Path], frames: np.ndarray, log: Path) -> None:
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        self._log = log
        self.faces = 0
        self._send(json.dumps(frames.shape).encode() + b"\n" + frames.tobytes())

    def run(self, times: int) -> list[float]:
        self._send(b"%d\n" % times)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError(f"{self._process.args!r} ended: {self._log.read_text()[-2000:]}")
        answer = json.loads(line)
        self.faces = answer["faces"]
        return list(answer["seconds"])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `run` says why it ended


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
        candidates: dict[str, Candidate] = {
            name: CandidateProcess(_load, scenario, material)
            for name, scenario in _ours(persons, threads)
        }
        for name, command in commands.items():
            candidates[name] = PeerProgram(command, frames, folder / f"{name}.log")
        try:
            results = time_interleaved(candidates, 4 if quick else 20, 5)
        finally:
            for candidate in candidates.values():
                candidate.close()
        for name, result in results.items():
            per_second = 1e3 / result["mean_ms"]
            rows.append(
                {
                    "candidate": name,
                    "persons": persons,
                    "faces_found": candidates[name].faces,
                    "frames_per_second": per_second,
                    **result,
                }
            )
            for peer in commands:
                if name not in commands:
                    ratio = results[peer]["mean_ms"] / result["mean_ms"]
                    ratios[f"{name}_vs_{peer}/{persons}_persons"] = ratio
    return rows, ratios


def _ours(persons: int, threads: int) -> list[tuple[str, Scenario]]:
    f32 = EngineSettings(engine="openvino", precision="f32", threads=threads)
    best = EngineSettings(threads=threads)
    chosen = [("ours_f32", f32, 1), ("ours_auto", best, 1), ("ours_auto_every_3rd", best, 3)]
    return [
        (name, Scenario(640, 480, persons, engine, interval)) for name, engine, interval in chosen
    ]


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
    commands["fer"] = [_install_python(folder / "fer", FER), HERE / "fer_peer.py"]
    if sys.version_info < (3, 13):
        python = _install_python(folder / "mediapipe", MEDIAPIPE)
        commands["mediapipe"] = [python, HERE / "mediapipe_peer.py"]
    else:
        print("this mediapipe is not made for Python 3.13: it is left out")
    if node := shutil.which("node"):
        face_api = folder / "face_api"
        if _is_new(face_api, FACE_API):
            print("installing face-api, once")
            face_api.mkdir(parents=True, exist_ok=True)
            (face_api / "package.json").write_text("{}")
            _run("npm", "install", "--ignore-scripts", "--prefix", face_api, *FACE_API)
            (face_api / READY).write_text(json.dumps(FACE_API))
        commands["face_api"] = [node, HERE / "face_api_peer.mjs", face_api]
    else:
        print("Node.js is not installed: face-api is left out")
    return commands


def _install_python(folder: Path, packages: Sequence[str]) -> Path:
    """Install a program, the first of `packages`, and what it needs; return its Python."""
    python = folder / "bin" / "python"
    if _is_new(folder, packages):
        print(f"installing {folder.name}, once")
        program, *needs = packages
        _run(sys.executable, "-m", "venv", "--clear", folder)
        _run(python, "-m", "pip", "install", "--quiet", *needs)
        _run(python, "-m", "pip", "install", "--quiet", "--no-deps", program)
        (folder / READY).write_text(json.dumps(packages))
    return python


def _is_new(folder: Path, packages: Sequence[str]) -> bool:
    """Whether these packages, of these versions, are not yet installed there."""
    ready = folder / READY
    return not ready.is_file() or json.loads(ready.read_text()) != list(packages)


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode:
        raise BenchmarkError(f"{' '.join(map(str, command))} failed: {result.stderr[-1000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds")
    parser.add_argument(
        "--threads", type=whole_number(0), default=0, help="of ours; 0 for the cores, at most 4"
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures here")
    args = parser.parse_args()
    threads = args.threads or min(4, len(os.sched_getaffinity(0)))
    report: dict[str, Any] = {"machine": describe_machine()}
    with tempfile.TemporaryDirectory(prefix="caer_peers_") as folder:
        report["peers"], report["ratios"] = measure_peers(
            fetch_material(), threads, args.quick, Path(folder)
        )
    print(to_markdown(report))
    if args.json:
        write_json(args.json, report)


if __name__ == "__main__":
    main()
