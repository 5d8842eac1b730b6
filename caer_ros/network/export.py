# SPDX-License-Identifier: Apache-2.0
"""`caer export`: a checkpoint becomes the ONNX file that runs without torch."""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn

from caer_ros.files import write_file
from caer_ros.network.check import fixed_crops, write_check
from caer_ros.network.checkpoint import load_checkpoint
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import WeightsError, export_name

OPSET = 18
HALVED_FROM = 1024
"""Weights of at least this many values are stored in half precision."""


class _Flat(nn.Module):
    """CaerNet with the inputs its spec has, in order, and no output that is None."""

    def __init__(self, model: CaerNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        spec = self.model.spec
        streams = inputs if spec.has_face else (None, *inputs)
        return tuple(output for output in self.model(*streams) if output is not None)


def export_onnx(weights: Path, path: Path) -> None:
    """Write checkpoint `weights` as an ONNX model to `path`.

    Inputs `faces`, `contexts` and `context_index`, those the spec has, as `Engine.infer` takes
    them, with free numbers of persons and scenes; outputs `probabilities`, `weights` and, where
    the network attends, `attention`. The graph carries `export_name(weights)`, by which an engine
    sees that the model belongs to the checkpoint beside it. Large weights are stored
    in half precision and cast, arithmetic stays the engine's choice. Convolutions that read frames
    one by one, as `caer inflate` makes them, have no kernel in time. A `ModelCheck` is written
    beside it.

    Raises:
        WeightsError: where the checkpoint does not load.
        FileError: where `path` cannot be written.
    """
    model = load_checkpoint(weights)
    spec = model.spec
    clip = (spec.clip_length,) if spec.is_video else ()
    persons, scenes = torch.export.Dim("persons", min=1), torch.export.Dim("scenes", min=1)
    # traced with three persons in two scenes: equal numbers would be taken for one
    inputs: dict[str, tuple[Tensor, torch.export.Dim]] = {}
    if spec.has_face:
        edge = spec.face_size
        inputs["faces"] = torch.zeros(3, *clip, edge, edge, 3, dtype=torch.uint8), persons
    if spec.has_context:
        edge = spec.context_size
        inputs["contexts"] = torch.zeros(2, *clip, edge, edge, 3, dtype=torch.uint8), scenes
        inputs["context_index"] = torch.tensor([0, 1, 0]), persons
    outputs = ["probabilities", "weights"]
    if spec.has_context and spec.context_attention != "none":
        outputs.append("attention")
    crops = (None if array is None else torch.from_numpy(array) for array in fixed_crops(spec))
    with torch.inference_mode():
        probabilities = model(*crops).scores.numpy()
    _cut_time(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's deprecations inside torch itself
        # and that there is no torchvision, which nothing here uses
        logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _Flat(model).eval(),
            tuple(tensor for tensor, _ in inputs.values()),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=(tuple({0: dim} for _, dim in inputs.values()),),
            opset_version=OPSET,
            dynamo=True,
            # folding the normalisation into the convolutions would, once they are halved, cost
            # 5e-4 of a probability; engines fold it themselves, in float32
            optimize=False,
            verbose=False,
        )
    assert program is not None
    # TensorRT wants axes and shapes as constants, not as nodes that would compute them
    fold_constants(program.model)
    proto = program.model_proto
    _halve(proto.graph)
    proto.graph.name = export_name(weights)
    for key, value in spec.to_metadata().items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    write_file(path, proto.SerializeToString())
    write_check(weights, path, probabilities)


def _cut_time(model: CaerNet) -> None:
    """Leave of 3D kernels that are zero before and after the frame itself just its slice.

    That is the same function at a third of the work.
    """
    for conv in model.modules():
        if not isinstance(conv, nn.Conv3d) or conv.kernel_size[0] != 3:
            continue
        weight = conv.weight.detach()
        if not weight[:, :, ::2].any():
            conv.weight = nn.Parameter(weight[:, :, 1:2].contiguous())
            conv.kernel_size = (1, *conv.kernel_size[1:])
            conv.padding = (0, *conv.padding[1:])


def _halve(graph: onnx.GraphProto) -> None:
    """Store the large float32 weights of `graph` as float16 behind a Cast back to float32."""
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALVED_FROM:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path, help="checkpoint to convert (.safetensors)")
    parser.add_argument("--output", type=Path, help="ONNX file (default: beside the checkpoint)")


def main(args: argparse.Namespace) -> int:
    output = args.output or args.weights.with_suffix(".onnx")
    if output.suffix != ".onnx":
        raise WeightsError(f"--output {output} does not end in .onnx")
    export_onnx(args.weights, output)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    return 0
