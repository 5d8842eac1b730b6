# SPDX-License-Identifier: Apache-2.0
import platform

import numpy as np
import onnx
import openvino
import pytest
import torch

from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.export import export_onnx
from caer_ros.network.inflate import inflate
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec, export_name, is_export_of

VIDEO = {"architecture": "caer_net", "clip_length": 8, "face_size": 32, "context_size": 48}
LITE = {"context_encoder": "efficientnet_lite0", "context_view": "whole", "context_size": 96}

SPECS = [
    NetworkSpec(),
    NetworkSpec(streams="face"),
    NetworkSpec(streams="context"),
    NetworkSpec(context_attention="none", fusion="concatenate"),
    NetworkSpec(context_attention="face_conditioned"),
    NetworkSpec(**VIDEO),
    NetworkSpec(**VIDEO, context_attention="face_conditioned"),
    NetworkSpec(**VIDEO, streams="face"),
    NetworkSpec(**LITE),
    NetworkSpec(**LITE, streams="context"),
    NetworkSpec(**{**VIDEO, **LITE}),
]


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_onnx_in_openvino_says_what_torch_says(spec, tmp_path):
    torch.manual_seed(0)
    save_checkpoint(CaerNet(spec), tmp_path / "net.safetensors")
    export_onnx(tmp_path / "net.safetensors", tmp_path / "net.onnx")
    model = load_checkpoint(tmp_path / "net.safetensors")
    core = openvino.Core()
    compiled = core.compile_model(
        tmp_path / "net.onnx",
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1},
    )
    clip = (spec.clip_length,) if spec.is_video else ()
    random = np.random.default_rng(0)
    for persons, scenes in ((1, 1), (2, 1), (4, 3)):
        inputs = {}
        if spec.has_face:
            shape = (persons, *clip, spec.face_size, spec.face_size, 3)
            inputs["faces"] = random.integers(0, 256, shape, dtype=np.uint8)
        if spec.has_context:
            shape = (scenes, *clip, spec.context_size, spec.context_size, 3)
            inputs["contexts"] = random.integers(0, 256, shape, dtype=np.uint8)
            inputs["context_index"] = random.integers(0, scenes, persons)
        result = compiled(inputs)
        with torch.inference_mode():
            expected = model(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        for name, tensor in zip(("probabilities", "weights", "attention"), expected, strict=True):
            if tensor is not None:
                np.testing.assert_allclose(result[name], tensor.numpy(), atol=2e-5)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="TensorRT for RTX is for x86-64")
@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_tensorrt_builds_an_engine_of_the_export(spec, tmp_path):
    import tensorrt_rtx as tensorrt

    save_checkpoint(CaerNet(spec), tmp_path / "net.safetensors")
    export_onnx(tmp_path / "net.safetensors", tmp_path / "net.onnx")
    builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR))
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, builder.logger)
    read = parser.parse((tmp_path / "net.onnx").read_bytes())
    assert read, [parser.get_error(i).desc() for i in range(parser.num_errors)]
    profile = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        entry = network.get_input(i)
        profile.set_shape(entry.name, *((n, *tuple(entry.shape)[1:]) for n in (1, 4, 16)))
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1  # without a GPU it must be told for which
    config.set_compute_capability(tensorrt.ComputeCapability.SM89, 0)
    assert builder.build_serialized_network(network, config)


def test_an_export_knows_its_checkpoint_and_is_as_small(tmp_path):
    weights, model = tmp_path / "net.safetensors", tmp_path / "net.onnx"
    save_checkpoint(CaerNet(NetworkSpec(streams="face")), weights)
    export_onnx(weights, model)
    assert is_export_of(model, weights)
    assert onnx.load(model).graph.name == export_name(weights)
    assert model.stat().st_size < 1.1 * weights.stat().st_size
    save_checkpoint(CaerNet(NetworkSpec(streams="face")), weights)
    assert not is_export_of(model, weights)


def test_convolutions_that_read_frames_one_by_one_have_no_kernel_in_time(tmp_path):
    torch.manual_seed(0)
    video = inflate(CaerNet(NetworkSpec(streams="face", face_size=32)).eval(), 8)
    with torch.no_grad():
        video.face_encoder[8].weight[:, :, 0] = 0.01  # one that looks back
    save_checkpoint(video, tmp_path / "net.safetensors")
    export_onnx(tmp_path / "net.safetensors", tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    kernels = [
        attribute.ints[0]
        for node in graph.node
        if node.op_type == "Conv"
        for attribute in node.attribute
        if attribute.name == "kernel_shape"
    ]
    sizes = {tuple(t.dims)[2] for t in graph.initializer if len(t.dims) == 5}
    assert sizes == {1, 3}
    assert kernels in ([], [1, 1, 3, 1, 1])
    model = load_checkpoint(tmp_path / "net.safetensors")
    faces = np.random.default_rng(0).integers(0, 256, (2, 8, 32, 32, 3), np.uint8)
    compiled = openvino.Core().compile_model(
        tmp_path / "net.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    said = compiled({"faces": faces})["probabilities"]
    with torch.inference_mode():
        expected = model(torch.from_numpy(faces)).scores.numpy()
    assert np.abs(said - expected).max() < 1e-3
