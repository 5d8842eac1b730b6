# SPDX-License-Identifier: Apache-2.0
"""The networks alone: every engine and precision this machine has, against eager PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.benchmark.interleaved import (
    BenchmarkError,
    CandidateProcess,
    in_own_process,
    time_interleaved,
)
from caer_ros.engines.base import Batch, EngineError
from caer_ros.engines.select import has_nvidia_gpu, make_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.spec import NetworkSpec, read_spec, resolve_weights

NETWORKS = ("caer_net_s", "caer_net")
"""The networks that come with the package."""

PAPER = {
    "paper_s": NetworkSpec(),
    "paper": NetworkSpec(architecture="caer_net", clip_length=16),
}
"""Both networks as the paper has them, two streams of 96 and 112 pixels; random weights."""

CHOICES = (
    ("openvino", "f32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("torch", "f32"),
    ("tensorrt", "f32"),
    ("tensorrt", "f16"),
)
"""Engines and precisions."""

EAGER = "eager"
"""The network as loaded, in plain PyTorch: what the ratios are of."""


def measure_engines(
    networks: Sequence[str], threads: int, rounds: int, folder: Path
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Time one person through each network in each engine, in turn.

    Returns rows for the report, and the ratios to eager PyTorch in the same run, named such as
    `caer_net_s/openvino_vs_torch` for f32 and `caer_net_s/openvino_bf16_vs_torch`. Eager PyTorch
    runs on the CPU, also where there is a GPU.
    """
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    for network in networks:
        weights = resolve_weights(network) if network in NETWORKS else folder / network
        if network in PAPER:
            weights = weights.with_suffix(".safetensors")
            in_own_process(_make_random, PAPER[network], weights)
        candidates = dict(_candidates(weights, threads))
        try:
            times = 2 if read_spec(weights).is_video else 10
            results = time_interleaved(candidates, rounds, times)
        finally:
            for candidate in candidates.values():
                candidate.close()
        eager = results.get(EAGER, {}).get("median_ms")
        for name, result in results.items():
            row: dict[str, Any] = {
                "network": network,
                "engine": name,
                "threads": threads,
                **result,
            }
            if eager:
                row["times_eager"] = eager / result["median_ms"]
                if name != EAGER:
                    ratios[f"{network}/{_ratio_name(name)}"] = row["times_eager"]
            rows.append(row)
    return rows, ratios


def _ratio_name(candidate: str) -> str:
    engine, precision = candidate.split()
    kind = engine if precision == "f32" else f"{engine}_{precision}"
    return f"{kind}_vs_eager" if engine == "torch" else f"{kind}_vs_torch"


def _candidates(weights: Path, threads: int) -> Iterator[tuple[str, CandidateProcess]]:
    """Yield all that runs this network here; say what does not."""
    try:
        yield EAGER, CandidateProcess(_load_eager, weights, threads)
    except EngineError as error:
        print(f"{EAGER} is left out: {error}")
    for engine, precision in CHOICES:
        if engine == "tensorrt" and not has_nvidia_gpu():
            continue
        settings = EngineSettings(engine=engine, precision=precision, threads=threads)
        try:
            yield f"{engine} {precision}", CandidateProcess(_load_engine, weights, settings)
        except EngineError as error:
            print(f"{engine} {precision} is left out: {error}")


def _load_engine(weights: Path, settings: EngineSettings) -> Callable[[], object]:
    engine = make_engine(settings.engine, weights, replace(settings, weights=str(weights)))
    batch = _coloured(engine.spec)
    return lambda: engine.infer(batch)


def _load_eager(weights: Path, threads: int) -> Callable[[], object]:
    try:
        import torch

        from caer_ros.network.checkpoint import load_checkpoint
    except ImportError as error:
        raise EngineError(f"it needs {error.name}: install the extra `train`") from error

    torch.set_num_threads(threads)
    model = load_checkpoint(weights)
    arrays = _coloured(model.spec).arrays
    batch = [None if array is None else torch.from_numpy(array) for array in arrays]

    def infer() -> object:
        with torch.inference_mode():
            return model(*batch)

    return infer


def _coloured(spec: NetworkSpec) -> Batch:
    rng = np.random.default_rng(0)
    batch = Batch.blank(spec, 1)
    for pictures in (batch.faces, batch.contexts):
        if pictures is not None:
            pictures[:] = rng.integers(0, 256, pictures.shape, np.uint8)
    return batch


def _make_random(spec: NetworkSpec, weights: Path) -> None:
    try:
        import torch

        from caer_ros.network.checkpoint import save_checkpoint
        from caer_ros.network.export import export_onnx
        from caer_ros.network.model import CaerNet
    except ImportError as error:
        raise BenchmarkError(
            f"the paper's networks need {error.name} to be made: install the extra `train`"
        ) from error
    torch.manual_seed(0)
    save_checkpoint(CaerNet(spec).eval(), weights)
    export_onnx(weights, weights.with_suffix(".onnx"))
