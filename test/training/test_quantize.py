# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch

from caer_ros.cli import main
from caer_ros.engines.base import Batch, EngineError
from caer_ros.engines.openvino import OpenVinoEngine, read_int8
from caer_ros.engines.select import load_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.checkpoint import save_checkpoint
from caer_ros.network.export import export_onnx
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec
from caer_ros.training.datasets import read
from caer_ros.training.quantize import quantize

STATIC = NetworkSpec(face_size=32, context_size=48)
SPECS = {
    "both": STATIC,
    "face": replace(STATIC, streams="face"),
    "video": replace(STATIC, architecture="caer_net", clip_length=8),
}


def make(spec: NetworkSpec, folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    weights = folder / "small.safetensors"
    save_checkpoint(CaerNet(spec).eval(), weights)
    export_onnx(weights, weights.with_suffix(".onnx"))
    return weights


def engine(weights: Path, precision: str) -> OpenVinoEngine:
    return OpenVinoEngine(weights, EngineSettings(precision=precision, threads=1))


@pytest.fixture(params=SPECS)
def quantized(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    weights = make(SPECS[request.param], tmp_path)
    data = "synthetic-clips:12" if SPECS[request.param].is_video else "synthetic:12"
    assert main(["quantize", str(weights), "--data", data, "--examples", "8"]) == 0
    return weights


def test_a_quantised_network_computes_in_integers_and_says_nearly_the_same(
    quantized: Path,
) -> None:
    f32, int8 = engine(quantized, "f32"), engine(quantized, "int8")
    assert int8.precision == "int8"
    batch = Batch.blank(f32.spec, 2)
    rng = np.random.default_rng(0)
    for part in (batch.faces, batch.contexts):
        if part is not None:
            part[:] = rng.integers(0, 256, part.shape)
    expected, found = f32.infer(batch), int8.infer(batch)
    assert 0 < np.abs(expected.probabilities - found.probabilities).max() < 0.1
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-3)
    types = {
        node.get_rt_info()["runtimePrecision"].astype(str)
        for part in (int8._scene, int8._person)
        if part is not None
        for node in part.get_compiled_model().get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Convolution"
    }
    assert types <= {"i8", "u8"}


def test_the_file_holds_what_was_measured(tmp_path: Path) -> None:
    weights = make(SPECS["face"], tmp_path)
    examples = read("synthetic:12").examples
    loss = quantize(weights, examples[:8], examples)
    model = read_int8(ov.Core(), weights)
    written = {name: model.get_rt_info(["caer_ros", name]).value for name in vars(loss)}
    assert written == {name: str(value) for name, value in vars(loss).items()}
    assert loss.examples == 12
    assert 0 < loss.largest_difference < 0.1


def test_int8_of_other_weights_is_refused(tmp_path: Path) -> None:
    weights = make(SPECS["face"], tmp_path)
    examples = read("synthetic:12").examples
    quantize(weights, examples, examples)
    make(SPECS["face"], tmp_path, seed=1)
    with pytest.raises(EngineError, match="made of other weights.*`caer quantize"):
        engine(weights, "int8")


def test_int8_without_its_file_names_the_command(tmp_path: Path) -> None:
    weights = make(SPECS["face"], tmp_path)
    settings = EngineSettings(weights=str(weights), precision="int8")
    with pytest.raises(EngineError, match=r"small\.int8\.xml.*does not exist.*`caer quantize"):
        load_engine(settings)


def test_without_nncf_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    weights = make(SPECS["face"], tmp_path)
    assert main(["quantize", str(weights), "--data", "synthetic:12"]) == 2
    assert "install the extra `int8`" in capsys.readouterr().err
    assert not list(tmp_path.glob("*int8*"))
