# SPDX-License-Identifier: Apache-2.0
import resource
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec, WeightsError, read_spec


@pytest.fixture
def spec():
    return NetworkSpec(
        streams="face", temperature=1.5, trained=("face",), provenance={"seed": "7"}
    )


@pytest.fixture
def weights(spec, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_checkpoint(CaerNet(spec), path)
    return path


def rewrite(path, metadata=None, **tensors):
    """Write the checkpoint at `path` again with other metadata or tensors (None drops one)."""
    state = {k: v for k, v in {**load_file(path), **tensors}.items() if v is not None}
    save_file(state, path, metadata={**read_spec(path).to_metadata(), **(metadata or {})})


def test_what_was_saved_is_loaded_as_float32(spec, weights):
    torch.manual_seed(0)
    original, loaded = CaerNet(spec).eval(), load_checkpoint(weights)
    assert loaded.spec == spec
    assert not loaded.training
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    faces = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.allclose(loaded(faces).scores, original(faces).scores, atol=1e-3)


def test_full_precision_comes_back_to_the_bit(spec, tmp_path):
    model = CaerNet(spec)
    save_checkpoint(model, tmp_path / "net.safetensors", torch.float32)
    for name, tensor in load_checkpoint(tmp_path / "net.safetensors").state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


@pytest.mark.parametrize("kept", [0, 7, 1000, 0.5, 0.999])
def test_a_truncated_file_is_refused_by_name(weights, kept):
    content = weights.read_bytes()
    weights.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(WeightsError, match=r"net\.safetensors is not a whole safetensors file"):
        load_checkpoint(weights)


def test_another_class_order_is_refused(weights):
    rewrite(
        weights, {"classes": '["Happy", "Anger", "Disgust", "Fear", "Neutral", "Sad", "Surprise"]'}
    )
    with pytest.raises(WeightsError, match="class order .*Happy"):
        load_checkpoint(weights)


def test_weights_of_another_network_are_refused_by_the_tensor_that_does_not_fit(weights):
    name = "face_encoder.0.weight"
    rewrite(weights, **{name: torch.zeros(32, 3, 5, 5)})
    with pytest.raises(
        WeightsError, match=rf"{name} of shape \(32, 3, 5, 5\), expected \(32, 3, 3, 3\)"
    ):
        load_checkpoint(weights)


def test_missing_and_surplus_tensors_are_named(weights):
    rewrite(weights, **{"classifier.3.bias": None})
    with pytest.raises(WeightsError, match=r"lacks classifier\.3\.bias"):
        load_checkpoint(weights)
    rewrite(weights, **{"classifier.3.bias": torch.zeros(7), "extra": torch.zeros(1)})
    with pytest.raises(WeightsError, match="has extra"):
        load_checkpoint(weights)


def test_weights_that_are_not_finite_are_refused(weights):
    rewrite(weights, **{"classifier.3.bias": torch.full((7,), float("nan"))})
    with pytest.raises(WeightsError, match=r"classifier\.3\.bias that are not finite"):
        load_checkpoint(weights)


SAVE_ANOTHER = """
import sys, pathlib
from caer_ros.network.checkpoint import save_checkpoint
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec, WeightsError
try:
    save_checkpoint(CaerNet(NetworkSpec(streams="face")), pathlib.Path(sys.argv[1]))
except WeightsError as error:
    sys.exit(str(error))
"""


def fill_the_disk():
    """Let no file of this process grow beyond 1 MB, half of a checkpoint."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


def test_a_full_disk_leaves_the_last_good_file(spec, weights):
    before = weights.read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", SAVE_ANOTHER, weights],
        preexec_fn=fill_the_disk,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"cannot write {weights}: File too large" in result.stderr
    assert weights.read_bytes() == before
    assert list(weights.parent.iterdir()) == [weights]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("classes", "5", "has incomplete metadata"),
        ("mean", "[" * 5000, "has incomplete metadata"),
        ("trained", "[5]", r"trained is \(5,\), expected names of streams"),
        ("trained", "[[]]", "has metadata of another type"),
        ("provenance", "5", "provenance is 5, expected a text for each name"),
        ("provenance", '{"a": [1]}', "expected a text for each name"),
    ],
)
def test_metadata_of_another_kind_are_refused(weights, name, value, text):
    rewrite(weights, {name: value})
    with pytest.raises(WeightsError, match=text):
        read_spec(weights)
