# SPDX-License-Identifier: Apache-2.0
"""What this machine has of what caer_ros can use, and which engine `auto` chooses and why."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distributions, version

import cv2

from caer_ros.engines.base import Batch, Engine
from caer_ros.engines.runtime import ov
from caer_ros.engines.select import engine_order, has_nvidia_gpu, make_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.spec import NetworkSpec, is_export_of, read_spec
from caer_ros.paths import cache_folder, share_folder
from caer_ros.perception.detector import find_blazeface
from caer_ros.types import CaerError

PACKAGES = (
    "openvino",
    "numpy",
    "rosbags",
    "torch",
    "torch_tensorrt",
    "torch_tensorrt_rtx",
    "onnx",
    "lightning",
)
"""Distributions worth knowing the version of; those from torch on are not needed to run."""


@dataclass(frozen=True)
class Finding:
    """One line of the report; `needed` where the node does not run without it."""

    section: str
    name: str
    value: str
    ok: bool = True
    needed: bool = False


def examine() -> list[Finding]:
    """Look at machine, libraries, ROS, files and engines; loads each engine once."""
    return [*_machine(), *_packages(), *_ros(), *_files(), *_engines()]


def _machine() -> Iterator[Finding]:
    core = ov.Core()
    yield Finding("machine", "system", f"{platform.platform()}, Python {sys.version.split()[0]}")
    yield Finding("machine", "processor", core.get_property("CPU", "FULL_DEVICE_NAME"))
    yield Finding("machine", "cores", f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} usable")
    precisions = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    known = [name for name in ("FP32", "BF16", "FP16", "INT8") if name in precisions]
    yield Finding("machine", "computes in", ", ".join(known))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("machine", "memory", f"{memory / 2**30:.1f} GiB")
    yield Finding("machine", "NVIDIA GPU", _gpu_name() if has_nvidia_gpu() else "none")


def _gpu_name() -> str:
    cuda = ctypes.CDLL("libcuda.so.1")
    name = ctypes.create_string_buffer(100)
    return name.value.decode() if cuda.cuDeviceGetName(name, 100, 0) == 0 else "of unknown name"


def _packages() -> Iterator[Finding]:
    for package in PACKAGES:
        try:
            yield Finding("packages", package, version(package))
        except PackageNotFoundError:
            yield Finding("packages", package, "not installed")
    # of several distributions; apt's has no entry at all
    yield Finding("packages", "OpenCV", cv2.__version__)


def _ros() -> Iterator[Finding]:
    # only a sourced ROS sets it; the wheels of PyPI are found without
    distribution = os.environ.get("ROS_DISTRO") or _distribution_of_the_wheels()
    yield Finding("ROS", "distribution", distribution or "no ROS is sourced or installed")
    rmw = os.environ.get("RMW_IMPLEMENTATION", "the distribution's default")
    yield Finding("ROS", "middleware", rmw)
    for module in ("rclpy", "caer_ros.msg"):
        try:
            import_module(module)
        except ImportError as error:
            value = f"not importable ({error}); source ROS, build this package"
            yield Finding("ROS", module, value, ok=False, needed=True)
        else:
            yield Finding("ROS", module, "importable", needed=True)


def _distribution_of_the_wheels() -> str:
    """Return the ROS whose wheels this Python has, empty where there is none."""
    names = (str(found.metadata["Name"]) for found in distributions())
    rclpy = (name.split("-") for name in names if re.fullmatch("ros-[a-z]+-rclpy", name))
    return next((f"{parts[1]}, of wheels" for parts in rclpy), "")


def _files() -> Iterator[Finding]:
    try:
        yield Finding("files", "face detector", str(find_blazeface()))
    except CaerError as error:
        yield Finding("files", "face detector", str(error), ok=False, needed=True)
    try:
        yield Finding("files", "cache", str(cache_folder()))
    except CaerError as error:
        yield Finding("files", "cache", str(error), ok=False)
    for weights in sorted((share_folder() / "models").glob("*.safetensors")):
        try:
            spec = read_spec(weights)
        except CaerError as error:
            yield Finding("files", weights.stem, str(error), ok=False, needed=True)
            continue
        onnx = weights.with_suffix(".onnx")
        fresh = onnx.is_file() and is_export_of(onnx, weights)
        form = "its ONNX beside it" if fresh else f"without its ONNX: `caer export {weights}`"
        yield Finding("files", weights.stem, f"{_describe(spec)}; {form}", ok=fresh)


def _describe(spec: NetworkSpec) -> str:
    sizes = [f"face {spec.face_size}"] * spec.has_face
    sizes += [
        f"context {spec.context_size}, attention {spec.context_attention}"
    ] * spec.has_context
    clip = f"{spec.clip_length} frames" if spec.is_video else "one frame"
    trained = f"trained on {' and '.join(spec.trained)}" if spec.trained else "NOT TRAINED"
    return f"{spec.architecture}, {clip}, {', '.join(sizes)}, {trained}"


def _engines() -> Iterator[Finding]:
    settings = EngineSettings()
    weights = share_folder() / "models" / f"{settings.weights}.safetensors"
    chosen = ""
    reasons = []
    for name in engine_order("auto"):
        try:
            engine = make_engine(name, weights, settings)
        except CaerError as error:
            reasons.append(f"{name} cannot run")
            yield Finding("engines", name, str(error), ok=False)
            continue
        milliseconds = _fastest(engine)
        engine.close()
        yield Finding(
            "engines", name, f"{engine.precision} on {engine.device}, {milliseconds:.1f} ms a face"
        )
        chosen = chosen or name
    if not has_nvidia_gpu():
        reasons.insert(0, "there is no NVIDIA GPU")
    because = f" ({', '.join(reasons)})" if reasons else ""
    yield Finding("engines", "auto chooses", (chosen or "nothing") + because, bool(chosen), True)


def _fastest(engine: Engine) -> float:
    batch = Batch.blank(engine.spec, 1)
    times = []
    for _ in range(10):
        started = time.perf_counter()
        engine.infer(batch)
        times.append(time.perf_counter() - started)
    return 1e3 * min(times)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def main(args: argparse.Namespace) -> int:
    """Print the findings; the status is 1 where something is missing that the node needs."""
    findings = examine()
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.name) for finding in findings)
        section = ""
        for finding in findings:
            if finding.section != section:
                section = finding.section
                print(f"\n{section}" if section != findings[0].section else section)
            print(f"  {' ' if finding.ok else '!'} {finding.name:{width}}  {finding.value}")
    return int(any(finding.needed and not finding.ok for finding in findings))
