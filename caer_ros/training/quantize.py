# SPDX-License-Identifier: Apache-2.0
"""Quantise weights to 8-bit integers for `engine.precision: int8`, and measure what that costs.

Beside the checkpoint it writes `<stem>.int8.xml` and `.bin`, which hold for these very weights and
say how right they are, in 32-bit floating point and in int8, on validation data. The ranges of the
network's values are taken from training pictures. OpenVINO runs it; other engines have no int8.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caer_ros.arguments import whole_number
from caer_ros.engines.base import EngineError
from caer_ros.engines.openvino import INT8_SUFFIX, OpenVinoEngine, find_onnx
from caer_ros.engines.runtime import ov
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.spec import export_name, read_spec
from caer_ros.training.datasets import add_data_arguments, read
from caer_ros.training.evaluate import judge, views
from caer_ros.training.examples import Example

INT8 = EngineSettings(engine="openvino", precision="int8")
F32 = EngineSettings(engine="openvino", precision="f32")


@dataclass(frozen=True)
class Loss:
    """What quantisation changed on `examples` examples: accuracies, share of equal labels, 0 to 1,
    and the largest difference of a probability."""

    examples: int
    accuracy_f32: float
    accuracy_int8: float
    same_label: float
    largest_difference: float


def quantize(weights: Path, training: Sequence[Example], validation: Sequence[Example]) -> Loss:
    """Write the int8 form of a checkpoint beside it; every example of `training` sets the ranges.

    Raises:
        EngineError: where NNCF is missing.
        WeightsError, DataError: for weights or examples that cannot be read.
    """
    # else it would send usage statistics to its makers
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
    except ImportError as error:
        raise EngineError(f"quantising needs {error.name}: install the extra `int8`") from error

    nncf.set_log_level(logging.ERROR)
    spec = read_spec(weights)
    names = ["faces"] * spec.has_face + ["contexts", "context_index"] * spec.has_context

    def inputs(example: Example) -> dict[str, np.ndarray]:
        pictures = next(views(example, spec))
        only = [picture[None] for picture in pictures if picture is not None]
        return dict(zip(names, [*only, np.zeros(1, np.int64)], strict=False))

    model = nncf.quantize(
        ov.Core().read_model(find_onnx(weights, F32.cache_dir)),
        nncf.Dataset(training, inputs),
        subset_size=len(training),
    )
    model.set_rt_info(export_name(weights), ["caer_ros", "weights"])
    with tempfile.TemporaryDirectory(prefix="caer_int8_") as folder:
        # nothing unmeasured lies beside the checkpoint, not even for a moment
        alone = Path(folder) / weights.name
        alone.symlink_to(weights.resolve())
        ov.save_model(model, alone.with_suffix(INT8_SUFFIX))
        f32 = judge(OpenVinoEngine(weights, F32), validation)
        int8 = judge(OpenVinoEngine(alone, INT8), validation)
    loss = Loss(
        len(validation),
        f32.metrics.accuracy,
        int8.metrics.accuracy,
        float((f32.probabilities.argmax(1) == int8.probabilities.argmax(1)).mean()),
        float(np.abs(f32.probabilities - int8.probabilities).max()),
    )
    for name, value in vars(loss).items():
        model.set_rt_info(str(value), ["caer_ros", name])
    ov.save_model(model, weights.with_suffix(INT8_SUFFIX))
    return loss


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path, help="checkpoint to quantise (.safetensors)")
    add_data_arguments(parser)
    parser.add_argument(
        "--examples",
        type=whole_number(1),
        default=300,
        help="training examples to take (default: 300)",
    )


def main(args: argparse.Namespace) -> int:
    training = read(args.data, "train", faces=args.faces).examples
    chosen = np.random.default_rng(0).permutation(len(training))[: args.examples]
    validation = read(args.data, "validation", faces=args.faces).examples
    loss = quantize(args.weights, [training[i] for i in chosen], validation)
    print(
        f"{args.weights.with_suffix(INT8_SUFFIX)} on {loss.examples} validation examples:\n"
        f"accuracy            {loss.accuracy_f32:.4f} in f32, {loss.accuracy_int8:.4f} in int8\n"
        f"same label          {loss.same_label:.4f}\n"
        f"largest difference  {loss.largest_difference:.3f} of a probability"
    )
    return 0
