# SPDX-License-Identifier: Apache-2.0
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from caer_ros.engines import select
from caer_ros.engines.base import Batch, EngineError
from caer_ros.engines.select import engine_order, load_engine, make_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.spec import WeightsError
from caer_ros.settings import SettingError

from .conftest import SPECS


@pytest.fixture
def settings(checkpoint, tmp_path):
    def make(**values):
        values = {"threads": 1, "cache_dir": str(tmp_path), **values}
        return EngineSettings(**{"weights": str(checkpoint("face")), **values})

    return make


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that the CUDA driver sees a GPU; torch, a CPU build, still sees none."""
    monkeypatch.setattr(select, "has_nvidia_gpu", lambda: True)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(select, "has_nvidia_gpu", lambda: False)


@pytest.mark.gpu
def test_on_a_gpu_auto_is_tensorrt_and_silent(settings, caplog):
    assert load_engine(settings()).name == "tensorrt"
    assert not [r for r in caplog.records if r.name == "caer_ros.engines.fallback"]


def test_with_a_gpu_tensorrt_comes_first(gpu):
    assert engine_order("auto") == ["tensorrt", "torch", "openvino"]


def test_without_a_gpu_openvino_comes_first(no_gpu):
    assert engine_order("auto") == ["openvino", "torch"]


def test_an_engine_asked_for_comes_first(gpu):
    assert engine_order("openvino") == ["openvino", "tensorrt", "torch"]


def test_auto_without_a_gpu_is_openvino_and_silent(no_gpu, settings, caplog):
    assert load_engine(settings()).name == "openvino"
    assert not [r for r in caplog.records if r.name.startswith("caer_ros.engines.fallback")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU")
def test_auto_passes_over_what_is_broken_with_one_warning(gpu, settings, caplog):
    engine = load_engine(settings())
    assert (engine.name, engine.device) == ("openvino", "CPU")
    (warning,) = (r for r in caplog.records if r.name == "caer_ros.engines.fallback")
    assert "tensorrt needs an NVIDIA GPU" in warning.message
    assert "torch sees no GPU" in warning.message


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU")
def test_half_precision_asked_of_a_gpu_does_not_stop_the_cpu(gpu, settings):
    assert load_engine(settings(precision="f16")).name == "openvino"


def test_an_engine_that_breaks_in_a_way_of_its_own_is_passed_over(no_gpu, settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "caer_ros.engines.openvino", None)
    assert load_engine(settings()).name == "torch"


def test_an_engine_asked_for_by_name_that_cannot_run_is_an_error(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "caer_ros.engines.openvino", None)
    with pytest.raises(EngineError, match="openvino cannot run here"):
        load_engine(settings(engine="openvino"))


def test_missing_weights_are_no_engines_fault(settings):
    with pytest.raises(WeightsError, match=r"'caer_net_x' .* \(caer_net, caer_net_s, "):
        load_engine(settings(weights="caer_net_x"))


def test_broken_weights_are_no_engines_fault(settings, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x10\x00")
    with pytest.raises(WeightsError, match="broken.safetensors"):
        load_engine(settings(weights=str(broken)))


def test_an_unknown_engine_is_refused(settings, checkpoint):
    with pytest.raises(EngineError, match="'onnxruntime' is unknown.*openvino, torch, tensorrt"):
        make_engine("onnxruntime", checkpoint("face"), settings())


@pytest.mark.parametrize("kind", SPECS)
def test_a_blank_batch_is_what_an_engine_takes(kind, settings, checkpoint):
    engine = load_engine(settings(weights=str(checkpoint(kind)), engine="openvino"))
    prediction = engine.infer(Batch.blank(engine.spec, 2))
    assert prediction.probabilities.shape == (2, 7)


@pytest.mark.parametrize("engine", ["openvino", "torch"])
@pytest.mark.parametrize(
    ("asked", "temperature"), [("photo", 0.8), ("film", 2.0), ("1.25", 1.25), ("0.5", 0.5)]
)
def test_temperature_is_the_one_asked_for(
    engine, asked, temperature, settings, checkpoint, crops, tmp_path
):
    model = load_checkpoint(checkpoint("face"))
    model.spec = replace(model.spec, temperature=0.8, film_temperature=2.0)
    weights = tmp_path / "warm.safetensors"
    save_checkpoint(model, weights)
    batch = crops(model.spec, 3)
    with torch.inference_mode():
        logits = model.logits(torch.from_numpy(batch.faces)).scores
    expected = (logits / temperature).softmax(dim=1).numpy()
    asked = settings(weights=str(weights), engine=engine, precision="f32", temperature=asked)
    found = load_engine(asked).infer(batch).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_film_temperature_of_weights_without_one_is_an_error(settings):
    with pytest.raises(EngineError, match=r"nobody fitted that of .*`caer calibrate"):
        load_engine(settings(temperature="film"))


@pytest.mark.parametrize("wrong", ["warm", "0", "-1", "nan", "1000", ""])
def test_a_temperature_that_is_none_is_refused(wrong):
    with pytest.raises(SettingError, match=f"engine.temperature is '{wrong}', expected one of"):
        EngineSettings(temperature=wrong)
