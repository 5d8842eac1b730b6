# SPDX-License-Identifier: Apache-2.0
import os

import numpy as np
import pytest
import torch

from caer_ros.engines.base import EngineError, OutOfMemoryError
from caer_ros.engines.settings import EngineSettings
from caer_ros.engines.torch import TorchEngine, fold_normalisation
from caer_ros.network.checkpoint import load_checkpoint

from .conftest import SPECS, largest_difference


@pytest.fixture
def load(checkpoint):
    def make(kind, **settings):
        return TorchEngine(checkpoint(kind, onnx=False), EngineSettings(threads=1, **settings))

    return make


@pytest.mark.parametrize(("precision", "tolerance"), [("auto", 1e-4), ("bf16", 2e-2)])
@pytest.mark.parametrize("kind", SPECS)
def test_it_agrees_with_eager_torch(kind, precision, tolerance, checkpoint, crops, eager, load):
    batch = crops(SPECS[kind], persons=4, scenes=2)
    expected = eager(checkpoint(kind, onnx=False), batch)
    engine = load(kind, precision=precision)
    assert engine.precision == ("f32" if precision == "auto" else precision)
    assert largest_difference(engine.infer(batch), expected) < tolerance


def test_no_normalisation_is_left_to_run(checkpoint):
    model = load_checkpoint(checkpoint("both", onnx=False))
    fold_normalisation(model)
    assert not [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize(
    ("threads", "expected"), [(0, max(1, min(4, len(os.sched_getaffinity(0)) - 1))), (3, 3)]
)
def test_threads_and_rounding_are_its_own_and_not_the_process_s(
    threads, expected, checkpoint, crops, monkeypatch
):
    engine = TorchEngine(checkpoint("face", onnx=False), EngineSettings(threads=threads))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.set_num_threads(7)
    seen = []

    def model(*inputs):
        seen.append((torch.get_num_threads(), torch.backends.cudnn.allow_tf32))
        raise RuntimeError

    monkeypatch.setattr(engine, "_model", model)
    with pytest.raises(EngineError):
        engine.infer(crops(SPECS["face"], persons=1))
    assert seen == [(expected, False)]
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == (7, True)
    torch.set_num_threads(1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has it")
def test_a_precision_the_device_lacks_is_refused(load):
    with pytest.raises(EngineError, match=r"precision f16 is not one of torch's on CPU"):
        load("face", precision="f16")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemoryError),
        (RuntimeError("CUDA error: out of memory"), OutOfMemoryError),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), OutOfMemoryError),
        (RuntimeError("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), OutOfMemoryError),
        (RuntimeError("device-side assert triggered"), EngineError),
    ],
)
def test_memory_that_runs_out_is_told_from_other_failures(
    failure, expected, crops, load, monkeypatch
):
    engine = load("face")

    def fail(*inputs):
        raise failure

    monkeypatch.setattr(engine, "_model", fail)
    with pytest.raises(EngineError) as caught:
        engine.infer(crops(SPECS["face"], persons=1))
    assert type(caught.value) is expected


def test_crops_may_be_read_only(crops, load):
    batch = crops(SPECS["face"], persons=1)
    expected = load("face").infer(batch).probabilities
    batch.faces.flags.writeable = False
    np.testing.assert_array_equal(load("face").infer(batch).probabilities, expected)
