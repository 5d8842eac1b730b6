# SPDX-License-Identifier: Apache-2.0
from collections import Counter

import numpy as np
import pytest

from caer_ros.network.spec import NetworkSpec
from caer_ros.perception.crops import even_light
from caer_ros.training.augment import AugmentSettings
from caer_ros.training.data import BalancedSampler, CaerData, CropDataset, Draw, window
from caer_ros.training.examples import DataError, Example, one_hot
from caer_ros.training.settings import NetworkSettings, TrainSettings
from caer_ros.types import Emotion, Face

LABELS = [Emotion.NEUTRAL] * 90 + [Emotion.DISGUST] * 10


def example(frames, boxes=None, target=None):
    target = one_hot(Emotion.FEAR) if target is None else target
    return Example("clip", "film", target, lambda: list(frames), boxes)


def counting_clip(length):
    return [np.full((24, 32, 3), 10 * i, np.uint8) for i in range(length)]


def test_without_balance_every_example_comes_once_an_epoch():
    sampler = BalancedSampler(LABELS, TrainSettings())
    assert sorted(draw.index for draw in sampler) == list(range(100))


@pytest.mark.parametrize(("balance", "rare"), [(0.5, 25), (1.0, 50)])
def test_balance_draws_rare_classes_more_often(balance, rare):
    sampler = BalancedSampler(LABELS, TrainSettings(balance=balance))
    drawn = Counter(LABELS[draw.index] for draw in sampler)
    assert drawn[Emotion.DISGUST] == pytest.approx(rare, abs=1)
    assert drawn.total() == 100


def test_draws_depend_on_seed_and_epoch_alone():
    def draws(seed, epoch):
        sampler = BalancedSampler(LABELS, TrainSettings(seed=seed, balance=0.5))
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draws(0, 3) == draws(0, 3)
    assert draws(0, 3) != draws(0, 4)
    assert draws(0, 3) != draws(1, 3)


@pytest.mark.parametrize(("draws", "drawn"), [(30, 30), (0, 100), (500, 100)])
def test_an_epoch_may_be_shorter_than_the_data(draws, drawn):
    sampler = BalancedSampler(LABELS, TrainSettings(draws=draws))
    parts = [list(BalancedSampler(LABELS, TrainSettings(draws=draws), rank, 2)) for rank in (0, 1)]
    assert len(sampler) == drawn
    assert len({draw.index for draw in sampler}) == drawn
    assert [len(part) for part in parts] == [drawn // 2] * 2


def test_processes_share_the_draws_of_an_epoch():
    settings = TrainSettings(balance=0.3)
    parts = [list(BalancedSampler(LABELS, settings, rank, 3)) for rank in range(3)]
    assert [len(part) for part in parts] == [33, 33, 33]
    together = [draw for step in zip(*parts, strict=True) for draw in step]
    assert together == list(BalancedSampler(LABELS, settings))[:99]


def test_the_first_epochs_are_small():
    settings = TrainSettings(
        first_epochs=2, first_face_size=32, network=NetworkSettings(face_size=64)
    )
    sampler = BalancedSampler(LABELS, settings)
    sizes = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        sizes.append({draw.face_size for draw in sampler})
    assert sizes == [{32}, {32}, {64}, {64}]


def test_a_face_crop_of_the_right_size_is_left_alone():
    crop = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    spec = NetworkSpec(streams="face", face_size=48)
    item = CropDataset([example([crop])], spec, AugmentSettings())[0]
    assert np.array_equal(item["faces"], even_light(crop))
    assert set(item) == {"faces", "target", "classes", "hidden"}


def test_the_face_is_hidden_in_the_scene_and_only_there():
    frame = np.full((128, 171, 3), 200, np.uint8)
    box = Face(70, 50, 100, 80)
    data = CropDataset([example([frame], (box,))], NetworkSpec(), AugmentSettings())
    item = data[0]
    assert item["contexts"].shape == (112, 112, 3)
    assert (item["contexts"][50, 56] == 0).all()
    # a quarter of the box more on every side
    assert 45 * 45 <= (item["contexts"] == 0).all(axis=2).sum() <= 51 * 51
    assert np.ptp(item["faces"]) == 0


def test_a_study_can_leave_the_face_in_the_scene():
    frame = np.full((128, 171, 3), 200, np.uint8)
    settings = TrainSettings(batch_size=1, workers=0, hide_face=False)
    examples = [example([frame], (Face(70, 50, 100, 80),))] * 2
    data = CaerData(examples, examples, NetworkSpec(), settings)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for batch in loader:
            assert (batch["contexts"] == 200).all()


def test_a_random_scene_crop_shows_different_parts():
    frame = np.tile(np.arange(171, dtype=np.uint8)[None, :, None], (128, 1, 3))
    data = CropDataset(
        [example([frame], (Face(0, 0, 1, 1),))],
        NetworkSpec(streams="context"),
        AugmentSettings(random_context=True),
    )
    corners = {int(data[Draw(0, seed, 96)]["contexts"][20, 20, 0]) for seed in range(20)}
    assert len(corners) > 5


def test_clips_of_a_video_network_are_windows_in_order():
    spec = NetworkSpec(architecture="caer_net", streams="face", face_size=24, clip_length=4)
    data = CropDataset([example(counting_clip(9))], spec, AugmentSettings())
    faces = data[Draw(0, 5, 24)]["faces"]
    assert faces.shape == (4, 24, 24, 3)
    assert (np.diff(faces[:, 0, 0, 0].astype(int)) > 0).all()


@pytest.mark.parametrize(("start", "first"), [(0.0, 0), (0.5, 2), (1.0, 5)])
def test_a_window_starts_between_the_first_and_the_last_possible(start, first):
    boxes = tuple(Face(i, 0, i + 1, 1) for i in range(8))
    frames, chosen = window(example(counting_clip(8), boxes), 3, start)
    assert [f[0, 0, 0] for f in frames] == [10 * first, 10 * first + 10, 10 * first + 20]
    assert chosen == boxes[first : first + 3]


def test_a_short_clip_repeats_its_last_frame():
    frames, boxes = window(example(counting_clip(2)), 4, 0.7)
    assert [f[0, 0, 0] for f in frames] == [0, 10, 10, 10]
    assert boxes == (Face(0, 0, 32, 24),) * 4


def test_a_context_stream_refuses_face_crops_by_name():
    with pytest.raises(DataError, match="clip is a face crop without a scene"):
        CropDataset([example([])], NetworkSpec(), AugmentSettings())


@pytest.mark.parametrize("soft", [True, False])
def test_votes_are_learned_soft_or_as_the_label(soft):
    votes = np.array([0, 0, 0.6, 0, 0.4, 0, 0], np.float32)
    spec = NetworkSpec(streams="face", face_size=24)
    data = CropDataset([example(counting_clip(1), target=votes)], spec, AugmentSettings(), soft)
    expected = votes if soft else one_hot(Emotion.FEAR)
    assert np.array_equal(data[0]["target"], expected)
