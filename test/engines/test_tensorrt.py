# SPDX-License-Identifier: Apache-2.0
"""Up to the device's border with Torch-TensorRT replaced by fakes that have its signatures, and,
marked `gpu`, the same for real."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import torch._dynamo  # before a GPU is pretended, for which it would look

from caer_ros.engines import tensorrt
from caer_ros.engines.base import EngineError, OutOfMemoryError
from caer_ros.engines.settings import EngineSettings
from caer_ros.engines.tensorrt import MAX_BATCH, TensorRtEngine, engine_path, export_batch
from caer_ros.network.checkpoint import load_checkpoint

from .conftest import SPECS, largest_difference

VERSIONS = ("2.8.0", "2.13.0")
"""The documented pairs: of JetPack 6, and of requirements/gpu.txt."""


class Compiled(torch.nn.Module):
    """What the fake compiler returns: the exported program itself, and how it was compiled."""

    def __init__(self, program, options):
        super().__init__()
        # both versions take the batches from the program, neither from `arg_inputs`
        (limits,) = program.range_constraints.values()
        batches = {
            (int(limits.lower), node.meta["val"].shape[0].node.hint, int(limits.upper))
            for node in program.graph.nodes
            if node.name in program.graph_signature.user_inputs
        }
        Path(options["timing_cache_path"]).write_bytes(b"timings")
        self.program = program
        self.options = {**options, "batches": batches}


# The signatures of both, with the options that are used; others are silently ignored there.


def compile_2_8(program, *, arg_inputs, disable_tf32, min_block_size, timing_cache_path,
                use_explicit_typing=False):  # fmt: skip
    return Compiled(program, {**locals(), "typed": use_explicit_typing})


def compile_2_13(program, *, arg_inputs, disable_tf32, min_block_size, timing_cache_path):
    return Compiled(program, {**locals(), "typed": True})


@pytest.fixture
def library(monkeypatch):
    """Put a Torch-TensorRT of some version, and a GPU, where the engine looks for them."""

    def put(version, provider=None):
        fake = types.ModuleType("torch_tensorrt")
        fake.__version__ = version
        fake.compiled = []

        def save(module, file_path, *, output_format, retrace):
            assert output_format == "exported_program"
            # 2.13 traces again by default, which loses the dynamic shapes
            assert not retrace
            fake.compiled.append(module.options)
            torch.export.save(module.program, file_path)

        fake.dynamo = types.SimpleNamespace(
            compile=compile_2_8 if version == "2.8.0" else compile_2_13
        )
        fake.Input = lambda **shapes: types.SimpleNamespace(**shapes)
        fake.save = save
        fake.load = torch.export.load
        if provider:
            fake.tensorrt_package_name = provider
        library = types.ModuleType("tensorrt")
        library.__version__ = "10.12.0"
        monkeypatch.setitem(sys.modules, "torch_tensorrt", fake)
        monkeypatch.setitem(sys.modules, "tensorrt", library)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Orin")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 7))
        monkeypatch.setattr(tensorrt, "DEVICE", torch.device("cpu"))
        return fake

    return put


@pytest.fixture
def load(checkpoint, tmp_path):
    def make(kind, precision="f32"):
        settings = EngineSettings(precision=precision, cache_dir=str(tmp_path))
        return TensorRtEngine(checkpoint(kind, onnx=False), settings)

    return make


@pytest.mark.parametrize("version", VERSIONS)
def test_both_versions_are_asked_to_keep_the_types_of_the_module(version, library, load):
    torch_tensorrt = library(version)
    assert load("face", precision="auto").precision == "f16"
    (options,) = torch_tensorrt.compiled
    assert options["typed"]
    (crops,) = options["arg_inputs"]
    assert crops.dtype == torch.float16
    assert [shape[0] for shape in (crops.min_shape, crops.opt_shape, crops.max_shape)] == [
        1,
        4,
        16,
    ]
    assert options["batches"] == {(1, 4, 16)}


@pytest.mark.parametrize("kind", SPECS)
def test_it_agrees_with_eager_torch(kind, library, checkpoint, crops, eager, load):
    library("2.13.0")
    batch = crops(SPECS[kind], persons=5, scenes=2)
    expected = eager(checkpoint(kind, onnx=False), batch)
    assert largest_difference(load(kind).infer(batch), expected) < 1e-4


@pytest.mark.parametrize("kind", ["both", "conditioned"])
def test_half_precision_stays_within_two_hundredths(kind, library, checkpoint, crops, eager, load):
    library("2.13.0")
    batch = crops(SPECS[kind], persons=2)
    expected = eager(checkpoint(kind, onnx=False), batch)
    assert 0 < largest_difference(load(kind, precision="f16").infer(batch), expected) < 2e-2


@pytest.mark.parametrize("kind", ["both", "conditioned"])
def test_the_export_takes_1_to_16_persons(kind, checkpoint, crops, eager):
    weights = checkpoint(kind, onnx=False)
    spec = SPECS[kind]
    run = export_batch(load_checkpoint(weights), "f32", torch.device("cpu")).module()
    for persons in (1, 3, MAX_BATCH) if kind == "both" else (1, 3):
        batch = crops(spec, persons=persons, scenes=persons)
        inputs = [torch.from_numpy(part).float() for part in batch.arrays[:2]]
        columns = run(*inputs).detach().numpy()
        expected = eager(weights, batch)
        np.testing.assert_allclose(columns[:, :7], expected.probabilities, atol=1e-4)
        np.testing.assert_allclose(columns[:, 7], expected.face_weight, atol=1e-4)
        np.testing.assert_allclose(
            columns[:, 9:], expected.attention.reshape(persons, -1), atol=1e-4
        )


def test_softmaxes_of_a_half_precision_export_are_float32(checkpoint):
    program = export_batch(
        load_checkpoint(checkpoint("both", onnx=False)), "f16", torch.device("cpu")
    )
    nodes = list(program.graph.nodes)
    softmaxes = [node for node in nodes if "softmax" in str(node.target)]
    assert len(softmaxes) == 3  # attention, fusion, classes
    assert {node.meta["val"].dtype for node in softmaxes} == {torch.float32}
    convolutions = [node for node in nodes if "conv2d" in str(node.target)]
    assert {node.meta["val"].dtype for node in convolutions} == {torch.float16}


def test_an_engine_is_built_once_and_then_loaded(library, crops, load, caplog, tmp_path):
    torch_tensorrt = library("2.8.0")
    batch = crops(SPECS["face"], persons=3)
    first = load("face").infer(batch)
    second = load("face").infer(batch)
    assert len(torch_tensorrt.compiled) == 1
    assert sum("caer build-engine" in record.message for record in caplog.records) == 1
    assert [file.suffix for file in tmp_path.rglob("*") if file.is_file()] == [".pt2"]
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


def test_a_build_that_fails_leaves_no_engine_behind(library, load, tmp_path, monkeypatch):
    torch_tensorrt = library("2.8.0")

    def fill_disk(module, file_path, **options):
        Path(file_path).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch_tensorrt, "save", fill_disk)
    with pytest.raises(OSError, match="no space"):
        load("face")
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_the_name_of_an_engine_holds_all_that_it_depends_on(
    library, checkpoint, tmp_path, monkeypatch
):
    def path(kind="face", precision="f16"):
        return engine_path(checkpoint(kind, onnx=False), precision, str(tmp_path))

    library("2.13.0")
    paths = [path(), path("context"), path(precision="f32")]
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    paths.append(path())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    paths.append(path())
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "10.13.0")
    paths.append(path())
    monkeypatch.setattr(torch, "__version__", "2.8.0")
    paths.append(path())
    library("2.8.0")
    paths.append(path())
    library("2.8.0", "tensorrt_rtx")
    paths.append(path())
    assert len(set(paths)) == len(paths)
    assert path() == paths[-1]
    assert path().name.startswith(f"{checkpoint('face', onnx=False).stem}-")


@pytest.mark.parametrize(
    "failure",
    [
        Exception("import error when try to import _TensorRTProxyModule"),
        AssertionError(),
        OSError("libcudart.so.12: cannot open shared object file"),
        ImportError("No module named 'torch_tensorrt'"),
    ],
)
def test_an_import_that_fails_is_an_engine_error(failure, library, load, monkeypatch):
    library("2.13.0")
    monkeypatch.delitem(sys.modules, "torch_tensorrt")

    class Refusing:
        def find_spec(self, name, path=None, target=None):
            if name == "torch_tensorrt":
                raise failure

    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    with pytest.raises(EngineError, match="Torch-TensorRT cannot be imported.*docs/engines.md"):
        load("face")


def test_without_a_gpu_nothing_of_tensorrt_is_imported(load, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(EngineError, match="needs an NVIDIA GPU"):
        load("face")


def test_int8_is_refused(library, load):
    library("2.13.0")
    with pytest.raises(EngineError, match="precision int8 is not one of tensorrt's"):
        load("face", precision="int8")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), OutOfMemoryError),
        (RuntimeError("[Error thrown] CUDA Runtime (out of memory)"), OutOfMemoryError),
        (RuntimeError("illegal memory access"), EngineError),
    ],
)
def test_memory_that_runs_out_is_told_from_other_failures(
    failure, expected, library, crops, load, monkeypatch
):
    library("2.13.0")
    engine = load("face")

    def fail(*inputs):
        raise failure

    monkeypatch.setattr(engine, "_run", fail)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    with pytest.raises(EngineError) as caught:
        engine.infer(crops(SPECS["face"], persons=1))
    assert type(caught.value) is expected


def test_an_answer_is_not_overwritten_by_the_next(library, crops, load):
    library("2.13.0")
    engine = load("both")
    first = engine.infer(crops(SPECS["both"], persons=1, seed=1))
    kept = first.probabilities.copy()
    engine.infer(crops(SPECS["both"], persons=1, seed=2))
    np.testing.assert_array_equal(first.probabilities, kept)


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-4), ("f16", 2e-2)])
@pytest.mark.parametrize("kind", SPECS)
def test_on_a_gpu_it_agrees_with_eager_torch(
    kind, precision, tolerance, checkpoint, crops, eager, load
):
    engine = load(kind, precision=precision)
    for persons in (1, 5, MAX_BATCH):
        batch = crops(SPECS[kind], persons=persons, scenes=1)
        expected = eager(checkpoint(kind, onnx=False), batch)
        assert largest_difference(engine.infer(batch), expected) < tolerance
    assert load(kind, precision=precision).infer(batch).probabilities.shape == (MAX_BATCH, 7)


def test_a_name_changes_with_the_weights_and_with_each_condition(tmp_path):
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(b"one")
    names = [
        tensorrt.cache_name(weights, ".pt2", gpu="Orin", precision="f16"),
        tensorrt.cache_name(weights, ".pt2", gpu="Orin", precision="f32"),
        tensorrt.cache_name(weights, ".pt2", gpu="H200", precision="f16"),
    ]
    assert tensorrt.cache_name(weights, ".pt2", precision="f16", gpu="Orin") == names[0]
    weights.write_bytes(b"two")
    names.append(tensorrt.cache_name(weights, ".pt2", gpu="Orin", precision="f16"))
    assert len(set(names)) == 4
    assert all(name.startswith("net-") and name.endswith(".pt2") for name in names)
