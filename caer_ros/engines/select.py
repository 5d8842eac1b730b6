# SPDX-License-Identifier: Apache-2.0
"""The one function that picks an engine."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from caer_ros.engines.base import Batch, Engine, EngineError
from caer_ros.engines.fallback import FallbackEngine
from caer_ros.engines.settings import ENGINES, EngineSettings
from caer_ros.network.check import fixed_crops, read_check
from caer_ros.network.spec import NetworkSpec, read_spec, resolve_weights
from caer_ros.types import CaerError

LARGEST_ERRORS = {"f32": 0.01, "int8": 0.3}
"""How far a probability may be from the stored one; in other precisions 0.05."""


def load_engine(settings: EngineSettings) -> Engine:
    """Return the engine that `settings` ask for, loaded and warmed up.

    Raises:
        WeightsError: for weights that are missing or broken.
        EngineError: for an engine asked for by name that cannot run here, or a temperature that
            the weights do not have.
    """
    weights = resolve_weights(settings.weights)
    spec = read_spec(weights)  # a broken file is no engine's fault: no fallback hides it
    # softmax(z / a) raised to a / b and summing to 1 again is softmax(z / b): engines have the
    # first compiled in, and are held to a stored answer at it
    power = spec.temperature / temperature_of(spec, settings.temperature, weights)
    first, *others = engine_order(settings.engine)
    if settings.engine != "auto":
        # must load now; the others only take over should it run out of memory later
        engine = make_engine(first, weights, settings)
        makers = [lambda: engine]
    else:
        makers = [partial(make_engine, first, weights, settings)]
    if settings.precision == "f16":
        settings = replace(settings, precision="auto")  # what takes over need not have it
    makers += [partial(make_engine, name, weights, settings) for name in others]
    return FallbackEngine(makers, power)


def temperature_of(spec: NetworkSpec, asked: str, weights: Path) -> float:
    """Return the temperature that `engine.temperature` asks for.

    Raises:
        EngineError: for `film` where the weights have none.
    """
    if asked == "photo":
        return spec.temperature
    if asked != "film":
        return float(asked)
    if spec.film_temperature is None:
        raise EngineError(
            f"engine.temperature is film, and nobody fitted that of {weights}: "
            f"`caer calibrate {weights} --data LAYOUT:PATH` does, photo and a number work"
        )
    return spec.film_temperature


def engine_order(engine: str) -> list[str]:
    """Return the engines to try, best first; `engine` is one of them or `auto`."""
    if has_nvidia_gpu():
        best = ["tensorrt", "torch", "openvino"]
    else:
        best = ["openvino", "torch"]
    return best if engine == "auto" else [engine, *(name for name in best if name != engine)]


def has_nvidia_gpu() -> bool:
    """Tell whether the CUDA driver sees a GPU, without importing torch (a second and 200 MB)."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return (
        cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    )


def make_engine(name: str, weights: Path, settings: EngineSettings) -> Engine:
    """Load engine `name` and hold it to its stored answer, which warms it up too.

    Raises:
        EngineError: naming the engine and why it cannot run here.
    """
    if name not in ENGINES:
        raise EngineError(f"engine {name!r} is unknown, known are {', '.join(ENGINES)}")
    try:
        engine: Engine
        if name == "openvino":
            from caer_ros.engines.openvino import OpenVinoEngine

            engine = OpenVinoEngine(weights, settings)
        elif name == "torch":
            from caer_ros.engines.torch import TorchEngine

            engine = TorchEngine(weights, settings)
            if engine.device == "CPU" and settings.engine != "torch" and has_nvidia_gpu():
                raise EngineError("torch sees no GPU: its CUDA build is not installed")
        else:
            from caer_ros.engines.tensorrt import TensorRtEngine

            engine = TensorRtEngine(weights, settings)
        check_answer(engine, weights)
    except CaerError:
        raise
    except Exception as error:
        # TensorRT, CUDA and their Python parts raise nearly anything where they do not fit
        raise EngineError(f"engine {name} cannot run here: {error!r}") from error
    return engine


def check_answer(engine: Engine, weights: Path) -> None:
    """Run `engine` on the fixed crops and compare with what is stored beside its weights.

    Where nothing is stored, it only runs.

    Raises:
        EngineError: where the answer is another one.
    """
    found = engine.infer(Batch(*fixed_crops(engine.spec))).probabilities
    check = read_check(weights, weights)
    if check is None:
        return
    error = float(np.abs(found - check.probabilities).max())
    # written so that NaN is refused too
    if not error <= LARGEST_ERRORS.get(engine.precision, 0.05):
        raise EngineError(
            f"{engine.name} in {engine.precision} gives another answer than {weights.name} should "
            f"(off by {error:.2f}): the model is damaged, or the precision does not suit it; "
            f"`caer export {weights}` makes it anew"
        )
