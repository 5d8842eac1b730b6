# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest
import torch

from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec, WeightsError

SPECS = [
    NetworkSpec(
        architecture=architecture,
        streams=streams,
        context_attention=attention,
        fusion=fusion,
        face_size=32,
        context_size=48,
        clip_length=1 if architecture == "caer_net_s" else 8,
    )
    for architecture, streams, attention, fusion in itertools.product(
        ("caer_net_s", "caer_net"),
        ("both", "face", "context"),
        ("none", "spatial", "face_conditioned"),
        ("adaptive", "concatenate"),
    )
    if not (streams == "context" and attention == "face_conditioned")
]
SPECS += [
    dataclasses.replace(
        spec, context_encoder="efficientnet_lite0", context_view="whole", context_size=96
    )
    for spec in SPECS
    if spec.has_context and spec.fusion == "adaptive"
]


def pictures(spec: NetworkSpec, count: int, size: int) -> torch.Tensor:
    clip = (spec.clip_length,) if spec.is_video else ()
    return torch.randint(0, 256, (count, *clip, size, size, 3), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (NetworkSpec(), 2_389_004),
        (NetworkSpec(architecture="caer_net", clip_length=16), 6_892_172),
    ],
)
def test_parameter_counts_are_those_of_the_paper(spec, count):
    assert sum(p.numel() for p in CaerNet(spec).parameters()) == count


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_every_variant_gives_probabilities_weights_and_attention(spec):
    torch.manual_seed(0)
    model = CaerNet(spec).eval()
    faces = pictures(spec, 3, spec.face_size) if spec.has_face else None
    contexts = pictures(spec, 3, spec.context_size) if spec.has_context else None
    with torch.inference_mode():
        probabilities, weights, attention = model(faces, contexts)
    assert probabilities.shape == (3, 7)
    assert torch.allclose(probabilities.sum(1), torch.ones(3), atol=1e-5)
    assert torch.allclose(weights.sum(1), torch.ones(3), atol=1e-5)
    if not spec.has_context:
        assert weights.tolist() == [[1, 0]] * 3
    if spec.has_context and spec.context_attention != "none":
        assert attention.shape == (3, 3, 3)
        assert torch.allclose(attention.sum((1, 2)), torch.ones(3), atol=1e-5)
    else:
        assert attention is None


@pytest.mark.parametrize("spec", [s for s in SPECS if s.streams == "both"], ids=repr)
def test_shared_scenes_give_what_repeated_scenes_give(spec):
    torch.manual_seed(0)
    model = CaerNet(spec).eval()
    faces, contexts = pictures(spec, 3, 32), pictures(spec, 2, 48)
    index = torch.tensor([1, 0, 1])
    with torch.inference_mode():
        shared = model(faces, contexts, index)
        repeated = model(faces, contexts[index])
    for one, other in zip(shared, repeated, strict=True):
        assert one is other is None or torch.allclose(one, other, atol=1e-5)


def test_a_clip_too_short_to_be_halved_three_times_is_refused():
    with pytest.raises(WeightsError, match="clip_length is 7, .* at least 8"):
        CaerNet(NetworkSpec(architecture="caer_net", clip_length=7))


def test_the_paper_sizes_leave_the_paper_feature_maps():
    model = CaerNet(NetworkSpec(architecture="caer_net", clip_length=16)).eval()
    with torch.inference_mode():
        face = model.face_encoder(torch.zeros(1, 3, 16, 96, 96))
        context = model.context_encoder(torch.zeros(1, 3, 16, 112, 112))
    assert face.shape == (1, 256, 2, 6, 6)
    assert context.shape == (1, 256, 2, 7, 7)


def test_pooled_context_is_as_large_as_its_cells():
    """A uniform scene pools to its own feature vector, however many cells it has."""
    model = CaerNet(NetworkSpec()).eval()
    features = torch.rand(1, 256, 1, 1).expand(1, 256, 7, 7)
    vectors, _ = model.attend(features, None)
    assert torch.allclose(vectors, features[:, :, 0, 0], atol=1e-5)


def test_normalisation_is_the_spec_s_in_bgr_order():
    spec = NetworkSpec()
    pixel = torch.tensor([10, 100, 200], dtype=torch.uint8).expand(1, 16, 16, 3)
    normal = CaerNet(spec).normalize(pixel)
    expected = [
        (v / 255 - m) / s for v, m, s in zip((10, 100, 200), spec.mean, spec.std, strict=True)
    ]
    assert normal.shape == (1, 3, 16, 16)
    assert normal[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_higher_temperature_lowers_the_confidence_and_keeps_the_order():
    torch.manual_seed(0)
    model = CaerNet(NetworkSpec(streams="face")).eval()
    faces = pictures(model.spec, 4, 96)
    with torch.inference_mode():
        for p in model.classifier.parameters():
            p.mul_(20)
        sharp = model(faces).scores
        model.spec = NetworkSpec(streams="face", temperature=3.0)
        soft = model(faces).scores
    assert (soft.max(1).values < sharp.max(1).values).all()
    assert torch.equal(soft.argsort(1), sharp.argsort(1))


def test_half_precision_stays_close():
    torch.manual_seed(0)
    model = CaerNet(NetworkSpec()).eval()
    faces, contexts = pictures(model.spec, 2, 96), pictures(model.spec, 2, 112)
    with torch.inference_mode():
        full = model(faces, contexts).scores
        half = model.to(torch.bfloat16)(faces, contexts).scores
    assert half.dtype == torch.float32
    assert torch.allclose(full, half, atol=2e-2)


def test_an_encoder_for_frames_reads_the_newest_of_a_clip():
    spec = NetworkSpec(
        architecture="caer_net",
        clip_length=8,
        context_encoder="efficientnet_lite0",
        face_size=32,
        context_size=64,
    )
    model = CaerNet(spec).eval()
    faces, contexts = pictures(spec, 2, 32), pictures(spec, 2, 64)
    others = contexts.clone()
    others[:, :-1] = 0
    with torch.inference_mode():
        for one, other in zip(model(faces, contexts), model(faces, others), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("architecture", ["caer_net_s", "caer_net"])
def test_a_mirrored_network_answers_a_face_as_its_mirror_image(architecture):
    torch.manual_seed(0)
    length = 8 if architecture == "caer_net" else 1
    plain = NetworkSpec(architecture=architecture, streams="face", clip_length=length)
    model = CaerNet(plain).eval()
    faces = pictures(plain, 3, 32)
    turned = faces.flip(-2)
    with torch.inference_mode():
        sides = torch.stack([model.encode_face(faces), model.encode_face(turned)])
        model.spec = dataclasses.replace(plain, mirrored=True)
        both = model.encode_face(faces)
        torch.testing.assert_close(both, sides.mean(dim=0), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(both, model.encode_face(turned), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(sides[0], sides[1], atol=1e-3)


def test_a_mirrored_network_learns_from_one_side_at_a_time():
    model = CaerNet(NetworkSpec(streams="face", mirrored=True)).train()
    seen = []
    model.face_encoder.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    model.logits(pictures(model.spec, 3, 32))
    model.eval()(pictures(model.spec, 3, 32))
    assert seen == [3, 6]
