# SPDX-License-Identifier: Apache-2.0
"""What a frozen scene encoder is asked once, and what is kept of it."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from caer_ros.files import FileError
from caer_ros.network.checkpoint import load_checkpoint
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec
from caer_ros.training import features
from caer_ros.training.augment import AugmentSettings
from caer_ros.training.data import CropDataset, Draw
from caer_ros.training.examples import Example, one_hot
from caer_ros.training.features import FeatureDataset
from caer_ros.training.settings import NetworkSettings, TrainSettings
from caer_ros.training.train import train
from caer_ros.types import CaerError, Emotion, Face

SPEC = NetworkSpec(face_size=24, context_size=32)
CHANGES = AugmentSettings(flip=0.5, cover=0.5, dark=0.5, noise=0.5, face_only=0.5)


def examples(count: int) -> list[Example]:
    rng = np.random.default_rng(0)
    return [
        Example(
            str(i),
            str(i),
            one_hot(Emotion(i % 7)),
            partial(list, rng.integers(0, 256, (1, 60, 80, 3), np.uint8)),
            (Face(20, 20, 40, 40),),
        )
        for i in range(count)
    ]


@pytest.fixture
def model() -> CaerNet:
    torch.manual_seed(0)
    return CaerNet(SPEC)


class Counted(CropDataset):
    """Counts what is drawn."""

    drawn = 0

    def __getitem__(self, draw: Draw | int) -> dict[str, np.ndarray]:
        self.drawn += 1
        return super().__getitem__(draw)


def kept(
    model: CaerNet, folder: Path, count: int = 3, versions: int = 3, **changes: float
) -> tuple[Counted, FeatureDataset]:
    crops = Counted(examples(count), SPEC, dataclasses.replace(CHANGES, **changes))
    return crops, FeatureDataset(crops, model, versions, "32-true", folder)


def test_the_first_version_is_the_example_as_it_is(model: CaerNet, tmp_path: Path) -> None:
    crops, dataset = kept(model, tmp_path)
    assert len(dataset) == 3
    for index in range(3):
        item, expected = dataset[index], crops[index]
        model.eval()
        with torch.inference_mode():
            maps = model.scene_maps(torch.from_numpy(expected["contexts"][None]))[0]
        assert np.allclose(item["maps"], maps, atol=2e-3)
        assert "contexts" not in item
        for name in ("faces", "target", "classes", "hidden"):
            assert np.array_equal(item[name], expected[name]), name


def test_a_draw_chooses_among_the_versions_and_face_and_scene_stay_together(
    model: CaerNet, tmp_path: Path
) -> None:
    _, dataset = kept(model, tmp_path, versions=4)
    items = [dataset[Draw(1, seed, 24)] for seed in range(8)]
    for one, two in zip(items[:4], items[4:], strict=True):
        assert np.array_equal(one["maps"], two["maps"])
        assert np.array_equal(one["faces"], two["faces"])
    assert len({item["faces"].tobytes() for item in items}) == 4
    assert np.array_equal(items[0]["maps"], dataset[1]["maps"])


def test_what_is_kept_is_not_drawn_again_and_a_killed_run_draws_the_rest(
    model: CaerNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "SHARD", 2)
    crops, dataset = kept(model, tmp_path, count=5)
    assert crops.drawn == 15
    files = sorted(dataset.folder.iterdir())
    assert len(files) == 3
    assert kept(model, tmp_path, count=5)[0].drawn == 0
    files[1].unlink()
    files[2].write_bytes(files[2].read_bytes()[:1000])
    again, second = kept(model, tmp_path, count=5)
    assert again.drawn == 3 * (2 + 1)
    for index in range(5):
        assert np.array_equal(second[index]["maps"], dataset[index]["maps"])


def test_other_draws_other_encoders_and_other_examples_are_kept_apart(
    model: CaerNet, tmp_path: Path
) -> None:
    folders = {kept(model, tmp_path)[1].folder}
    folders.add(kept(model, tmp_path, versions=2)[1].folder)
    folders.add(kept(model, tmp_path, dark=0.9)[1].folder)
    folders.add(kept(model, tmp_path, count=4)[1].folder)
    torch.nn.init.zeros_(next(model.context_encoder.parameters()))
    folders.add(kept(model, tmp_path)[1].folder)
    assert len(folders) == 5
    # what stands behind the encoder does not matter: another seed starts from the same folder
    torch.nn.init.zeros_(model.classifier[0].weight)
    assert kept(model, tmp_path)[1].folder in folders


def test_a_disk_that_is_full_is_an_error(model: CaerNet, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(FileError, match="features"):
        kept(model, tmp_path / "run")


SETTINGS = TrainSettings(
    epochs=2,
    batch_size=4,
    workers=0,
    frozen="encoders",
    versions=3,
    scene_loss=0.5,
    gate=1.0,
    keep="last",
    network=NetworkSettings(face_size=24, context_size=32),
    augment=CHANGES,
)


@pytest.mark.parametrize("streams", ["both", "context"])
def test_training_reads_the_scenes_once_for_all_epochs_and_seeds(
    streams: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = dataclasses.replace(SETTINGS.network, streams=streams)
    settings = dataclasses.replace(SETTINGS, network=network)
    scenes = []
    encode = features.encode
    monkeypatch.setattr(
        features,
        "encode",
        lambda model, contexts, how: scenes.append(len(contexts)) or encode(model, contexts, how),
    )
    for name in ("one", "two"):
        train(settings, examples(8), examples(4), tmp_path / name, [], {})
    assert scenes == [24, 4]
    trained = load_checkpoint(tmp_path / "one/weights.safetensors")
    torch.manual_seed(settings.seed)
    start = CaerNet(network.spec())
    for name, tensor in trained.named_parameters():
        if name.startswith("context_attention") and tensor.dim() > 1:
            assert not torch.equal(tensor, start.get_parameter(name).half().float()), name
        if name.startswith("context_encoder"):
            assert torch.equal(tensor, start.get_parameter(name).half().float()), name


def test_an_encoder_that_learns_cannot_be_asked_once(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, frozen="face")
    with pytest.raises(CaerError, match="versions is 3.*frozen: encoders"):
        train(settings, examples(4), examples(4), tmp_path / "run", [], {})
    assert not (tmp_path / "run").exists()
