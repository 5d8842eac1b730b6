# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from caer_ros.cli import main
from caer_ros.engines import select


def test_a_checkpoint_is_converted_and_compiled(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(select, "has_nvidia_gpu", lambda: False)
    weights = tmp_path / "lone.safetensors"
    weights.write_bytes(checkpoint("face").read_bytes())
    cache = tmp_path / "cache"
    assert (
        main(["build-engine", str(weights), "--precision", "f32", "--cache-dir", str(cache)]) == 0
    )
    assert f"{weights}: openvino f32 on CPU, ready in" in capsys.readouterr().out
    assert list(cache.glob("lone-*.onnx"))
    assert not (cache / "openvino").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes in f16")
def test_what_cannot_be_built_is_said_and_nothing_else_is_tried(checkpoint, capsys):
    weights = str(checkpoint("face"))
    assert main(["build-engine", weights, "--engine", "torch", "--precision", "f16"]) == 2
    assert "caer: error: precision f16" in capsys.readouterr().err
