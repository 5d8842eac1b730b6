# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import torch

from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec
from caer_ros.training.augment import AugmentSettings
from caer_ros.training.data import CropDataset, Draw
from caer_ros.training.examples import Example, one_hot
from caer_ros.training.settings import NetworkSettings, TrainSettings
from caer_ros.training.teachers import taught_by
from caer_ros.training.train import train
from caer_ros.types import CaerError, Emotion

FACE = NetworkSpec(streams="face", face_size=16)


@pytest.fixture
def teacher(tmp_path):
    """Write a random network that is sure of itself, and return its path."""

    def make(name, seed, spec=FACE):
        torch.manual_seed(seed)
        model = CaerNet(dataclasses.replace(spec, temperature=0.05))
        save_checkpoint(model, tmp_path / name)
        return tmp_path / name

    return make


def examples(count, **values):
    def one(index):
        picture = np.random.default_rng(index).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        label = one_hot(Emotion(index % 7))
        return Example(f"{index}", f"{index}", label, lambda: [picture], **values)

    return [one(index) for index in range(count)]


def shares(path, pictures):
    with torch.inference_mode():
        return load_checkpoint(path)(torch.from_numpy(pictures)).scores.numpy()


def test_teachers_say_the_mean_of_both_sides_of_the_clean_picture(teacher):
    paths = [
        teacher("a.safetensors", 1),
        teacher("b.safetensors", 2, dataclasses.replace(FACE, face_size=24)),
    ]
    taught = taught_by(paths, examples(5))
    expected = np.zeros((5, 7))
    for path in paths:
        data = CropDataset(examples(5), load_checkpoint(path).spec, AugmentSettings())
        faces = np.stack([item["faces"] for item in data])
        flipped = np.ascontiguousarray(faces[:, :, ::-1])
        expected += (shares(path, faces) + shares(path, flipped)) / 4
    assert taught.dtype == np.float32
    np.testing.assert_allclose(taught, expected, atol=1e-5)


def test_teachers_speak_of_the_classes_that_a_data_set_has(teacher):
    two = frozenset({Emotion.HAPPY, Emotion.SAD})
    taught = taught_by([teacher("a.safetensors", 1)], examples(5, classes=two))
    np.testing.assert_allclose(taught[:, [Emotion.HAPPY, Emotion.SAD]].sum(axis=1), 1, rtol=1e-5)
    assert np.count_nonzero(taught) <= 10


def test_a_spoiled_picture_has_its_share_of_what_was_said_of_the_clean_one():
    taught = np.full((3, 7), 1 / 7, np.float32)
    spoiled = AugmentSettings(cover=1.0, noise=1.0)
    data = CropDataset(examples(3), FACE, spoiled, taught=taught, distillation=0.4)
    target = data[Draw(2, 5, 16)]["target"]
    np.testing.assert_allclose(target, 0.6 * one_hot(Emotion(2)) + 0.4 / 7, rtol=1e-5)


def test_a_pupil_learns_what_its_teacher_says_and_not_the_labels(teacher, tmp_path):
    sad = CaerNet(FACE)
    sad.classifier[-1].bias.data = 20 * torch.tensor(one_hot(Emotion.SAD))
    path = tmp_path / "sad.safetensors"
    save_checkpoint(sad, path)
    settings = TrainSettings(
        epochs=4,
        batch_size=8,
        learning_rate=0.05,
        workers=0,
        distillation=1.0,
        keep="last",
        network=NetworkSettings(streams="face", face_size=16),
    )
    train(settings, examples(56), examples(14), tmp_path / "run", [], {}, [path])
    data = CropDataset(examples(14), FACE, AugmentSettings())
    said = shares(tmp_path / "run" / "weights.safetensors", np.stack([i["faces"] for i in data]))
    assert (said.argmax(axis=1) == Emotion.SAD).all()


@pytest.mark.parametrize(("share", "teachers"), [(0.5, 0), (0.0, 1)])
def test_a_share_without_a_teacher_or_a_teacher_without_one_is_an_error(
    share, teachers, teacher, tmp_path
):
    paths = [teacher("a.safetensors", 1)] * teachers
    settings = TrainSettings(
        distillation=share, network=NetworkSettings(streams="face", face_size=16)
    )
    with pytest.raises(CaerError, match=f"distillation is {share} with {teachers} --teacher"):
        train(settings, examples(7), examples(7), tmp_path / "run", [], {}, paths)
