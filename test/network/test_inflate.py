# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from caer_ros.cli import main as caer
from caer_ros.network.checkpoint import save_checkpoint
from caer_ros.network.inflate import inflate
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec, WeightsError


@pytest.fixture
def model(request):
    torch.manual_seed(0)
    model = CaerNet(NetworkSpec(face_size=64, context_size=64, **getattr(request, "param", {})))
    # a random initialisation has no running statistics to copy wrongly
    for name, tensor in model.state_dict().items():
        if "running" in name:
            tensor.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"streams": "face"},
        {"context_attention": "face_conditioned"},
        {"context_attention": "none", "fusion": "concatenate"},
        {"context_encoder": "efficientnet_lite0"},
    ],
    indirect=True,
)
@pytest.mark.parametrize("clip_length", [8, 16])
def test_a_still_clip_is_answered_as_its_frame(model, clip_length):
    video = inflate(model, clip_length)
    assert video.spec.clip_length == clip_length
    frames = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    clips = frames[:, None].expand(-1, clip_length, -1, -1, -1)
    streams = [model.spec.has_face, model.spec.has_context]
    with torch.inference_mode():
        still = model(*[frames if used else None for used in streams])
        moving = video(*[clips if used else None for used in streams])
    for one, other in zip(still, moving, strict=True):
        assert one is other is None or torch.allclose(one, other, atol=1e-5)


def test_every_slice_of_an_inflated_kernel_learns(model):
    video = inflate(model, 8).train()
    clips = torch.randint(0, 256, (2, 8, 64, 64, 3), dtype=torch.uint8)
    video.logits(clips, clips).scores.square().sum().backward()
    gradient = video.face_encoder[0].weight.grad
    assert (gradient.abs().sum(dim=(0, 1, 3, 4)) > 0).all()


def test_a_video_network_is_not_inflated_again(model):
    with pytest.raises(WeightsError, match="caer_net already"):
        inflate(inflate(model))


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("inflate {0} {0}", "is the checkpoint to read; name another file to write"),
        ("export {0} --output {0}", "does not end in .onnx"),
    ],
)
def test_a_checkpoint_is_never_written_over_by_what_is_made_of_it(
    command, error, model, tmp_path, capsys
):
    weights = tmp_path / "weights.safetensors"
    save_checkpoint(model, weights)
    before = weights.read_bytes()
    assert caer(command.format(weights).split()) == 2
    assert error in capsys.readouterr().err
    assert weights.read_bytes() == before
