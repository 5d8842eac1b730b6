# SPDX-License-Identifier: Apache-2.0
"""A model's stored answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caer_ros.engines import select
from caer_ros.engines.base import Batch, Engine, EngineError, Prediction
from caer_ros.engines.openvino import find_fault
from caer_ros.engines.select import check_answer, make_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.check import fixed_crops, read_check, write_check
from caer_ros.network.spec import NetworkSpec, read_spec, resolve_weights


class Answering(Engine):
    """Gives the same answer to all."""

    name, device, precision, spec = "answering", "CPU", "f32", NetworkSpec()

    def __init__(self, probabilities: list[float]) -> None:
        self.answer = np.array([probabilities] * 2, np.float32)

    def infer(self, batch: Batch) -> Prediction:
        ones = np.ones(len(batch), np.float32)
        return Prediction(self.answer, ones, 0 * ones, None)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights whose stored answer is happy."""
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"weights")
    path.with_suffix(".onnx").write_bytes(b"onnx")
    write_check(path, path.with_suffix(".onnx"), np.eye(7)[[3, 3]])
    return path


@pytest.mark.parametrize("name", ["caer_net_s", "caer_net_s_scene", "caer_net"])
@pytest.mark.parametrize("precision", ["auto", "f32"])
def test_the_models_of_the_package_are_whole_and_give_their_stored_answer(
    name: str, precision: str
) -> None:
    weights = resolve_weights(name)
    assert read_check(weights, weights) is not None, f"run `caer export {weights}`"
    assert find_fault(weights.with_suffix(".onnx"), weights) is None
    make_engine("openvino", weights, EngineSettings(precision=precision, threads=1)).close()


@pytest.mark.parametrize("name", ["caer_net_s", "caer_net_s_scene", "caer_net"])
def test_torch_gives_the_stored_answer_too(name: str) -> None:
    make_engine("torch", resolve_weights(name), EngineSettings(engine="torch", threads=1)).close()


def test_another_answer_is_refused_with_the_way_out(weights: Path) -> None:
    check_answer(Answering([0, 0, 0, 1, 0, 0, 0]), weights)
    for wrong in ([0, 1, 0, 0, 0, 0, 0], [np.nan] * 7):
        with pytest.raises(EngineError, match=r"the model is damaged.*caer export .*net"):
            check_answer(Answering(wrong), weights)


@pytest.mark.parametrize("precision", ["f32", "bf16", "f16", "int8"])
def test_rounding_is_no_damage(weights: Path, precision: str) -> None:
    off = 0.9 * select.LARGEST_ERRORS.get(precision, 0.05)
    engine = Answering([0, 0, 0, 1 - off, off, 0, 0])
    engine.precision = precision
    check_answer(engine, weights)


def test_the_check_of_other_weights_is_none(weights: Path) -> None:
    assert read_check(weights, weights) is not None
    weights.write_bytes(b"others")
    assert read_check(weights, weights) is None
    check_answer(Answering([1, 0, 0, 0, 0, 0, 0]), weights)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"weights": 1}'])
def test_a_broken_check_is_none(weights: Path, content: str) -> None:
    weights.with_suffix(".check.json").write_text(content)
    assert read_check(weights, weights) is None


def test_fixed_crops_fit_the_network_and_never_change() -> None:
    video = NetworkSpec(architecture="caer_net", clip_length=16)
    for spec in (NetworkSpec(), NetworkSpec(streams="face"), video):
        assert len(Batch(*fixed_crops(spec))) == 2
    faces, contexts, _ = fixed_crops(read_spec(resolve_weights("caer_net_s")))
    assert faces is not None
    assert faces[0, 0, 0].tolist() == [158, 60, 218]
    assert len(np.unique(faces)) > 50
