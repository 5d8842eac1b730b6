# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from caer_ros import cli
from caer_ros.engines.base import Batch, Engine, Prediction
from caer_ros.network.spec import NetworkSpec
from caer_ros.training import cut, evaluate
from caer_ros.training.datasets import read
from caer_ros.training.evaluate import Conditions, Judgement, Showing
from caer_ros.training.examples import DataError, Example, fingerprint, one_hot
from caer_ros.types import Emotion, Face

STEP = 30


@pytest.fixture(autouse=True)
def shades_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even light would change the shades that the engine below reads."""
    monkeypatch.setattr(cut, "even_light", lambda crop, out=None: crop)


class ShadeEngine(Engine):
    """Reads the class from the shade of the face crop's middle, STEP a class, at 0.7.

    The context weight is the share of white pixels in the scene.
    """

    name, device, precision = "shade", "CPU", "f32"

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec
        self.batches: list[int] = []

    def infer(self, batch: Batch) -> Prediction:
        faces, contexts, context_index = batch.arrays
        assert faces is not None
        size = self.spec.face_size
        frames = (self.spec.clip_length,) if self.spec.is_video else ()
        assert faces.shape[1:] == (*frames, size, size, 3)
        assert faces.dtype == np.uint8
        self.batches.append(len(faces))
        shade = faces[..., size // 2, size // 2, 0].reshape(len(faces), -1).mean(axis=1)
        probabilities = np.full((len(faces), 7), 0.05, np.float32)
        probabilities[np.arange(len(faces)), np.rint(shade / STEP).astype(int)] = 0.7
        weight = np.zeros(len(faces), np.float32)
        if contexts is not None:
            assert context_index is not None
            weight = (contexts[context_index] == 255).mean(axis=tuple(range(1, contexts.ndim)))
        return Prediction(probabilities, 1 - weight, weight, None)


def shaded(label: Emotion, *shown: Emotion, boxes: bool = False) -> Example:
    """Return an example with a frame for each emotion in `shown`, labelled `label`."""
    frames = [np.full((60, 80, 3), STEP * emotion, np.uint8) for emotion in shown]
    box = (Face(30, 20, 50, 40),) * len(frames) if boxes else None
    name = f"{label.name}-{'-'.join(e.name for e in shown)}"
    return Example(name, name, one_hot(label), partial(list, frames), box)


def face_engine(length: int = 1) -> ShadeEngine:
    video = {"architecture": "caer_net", "clip_length": length} if length > 1 else {}
    return ShadeEngine(NetworkSpec(streams="face", face_size=16, **video))


A, D, F, H, N, S, U = Emotion


def test_accuracy_and_confusion_are_those_counted_by_hand() -> None:
    examples = [shaded(A, A), shaded(A, H), shaded(H, H), shaded(S, S), shaded(S, S)]
    found = evaluate.report(evaluate.judge(face_engine(), examples))
    assert found["accuracy"] == pytest.approx(4 / 5)
    assert found["confusion"][A] == [1, 0, 0, 1, 0, 0, 0]
    assert found["confusion"][S] == [0, 0, 0, 0, 0, 2, 0]
    assert found["classes"]["Anger"] == {
        "examples": 2,
        "recall": 0.5,
        "precision": 1.0,
        "f1": pytest.approx(2 / 3),
    }
    assert found["classes"]["Fear"]["recall"] is None
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found["expected_calibration_error"] == pytest.approx(abs(0.7 - 4 / 5))
    assert (found["face_weight"], found["context_weight"]) == (1, 0)


def test_more_examples_than_a_batch_keep_their_order() -> None:
    engine = face_engine()
    shown = [Emotion(i % 7) for i in range(2 * evaluate.BATCH + 3)]
    judgement = evaluate.judge(engine, [shaded(e, e) for e in shown])
    assert engine.batches == [evaluate.BATCH, evaluate.BATCH, 3]
    assert judgement.metrics.accuracy == 1


def test_a_clip_is_the_mean_of_windows_that_overlap_by_half() -> None:
    # windows of 4 by 2 over 6 frames: the first is anger, the second is split evenly
    engine = face_engine(4)
    judgement = evaluate.judge(engine, [shaded(A, A, A, A, A, F, F), shaded(H, H)])
    assert engine.batches == [3]
    assert judgement.probabilities[0, [A, D, F]] == pytest.approx([0.375, 0.375, 0.05])
    assert judgement.probabilities[1, H] == pytest.approx(0.7)
    assert judgement.probabilities.sum(axis=1) == pytest.approx([1, 1])


def test_a_network_for_frames_reads_every_frame_of_a_clip() -> None:
    judgement = evaluate.judge(face_engine(), [shaded(A, A, A, A, F)])
    assert judgement.probabilities[0, [A, F]] == pytest.approx([0.5375, 0.2125])


@pytest.mark.parametrize(
    ("frames", "starts"),
    [
        (1, [0]),
        (15, [0]),
        (16, [0]),
        (17, [0, 1]),
        (24, [0, 8]),
        (30, [0, 8, 14]),
        (32, [0, 8, 16]),
    ],
)
def test_windows_cover_a_clip_to_its_end(frames: int, starts: list[int]) -> None:
    windows = list(evaluate.windows_of(frames, 16))
    assert [window[0] for window in windows] == starts
    assert all(len(window) == 16 for window in windows)
    assert windows[-1][-1] == frames - 1


def test_the_scene_is_read_with_the_face_hidden() -> None:
    white = np.full((128, 171, 3), 255, np.uint8)
    white[52:76, 70:100] = STEP * H
    example = Example("a", "a", one_hot(H), partial(list, [white]), (Face(70, 52, 100, 76),))
    judgement = evaluate.judge(ShadeEngine(NetworkSpec(face_size=16)), [example])
    assert judgement.metrics.accuracy == 1
    # the scene keeps its size: of 112 x 112 pixels 45 x 36 are black, and those that touch them
    seen = 1 - 45 * 36 / 112**2
    assert judgement.weights[0] == pytest.approx([1 - seen, seen], abs=0.03)


def test_a_face_crop_has_no_scene_to_read() -> None:
    with pytest.raises(DataError, match="ANGER-ANGER is a face crop without a scene"):
        evaluate.judge(ShadeEngine(NetworkSpec()), [shaded(A, A)])


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return evaluate.main(parser.parse_args(arguments))


def test_figures_are_not_written_under_the_name_of_the_picture(capsys) -> None:
    assert cli.main(["evaluate", "--data", "folder:/nowhere", "--json", "figures.png"]) == 2
    assert "figures.png is the picture's name; name it .json" in capsys.readouterr().err


def test_the_command_judges_the_shipped_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(("Happy", "Sad")):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for index in range(3):
            picture = np.full((48, 48, 3), 80 * number + 10 * index, np.uint8)
            cv2.imwrite(str(folder / f"{index}.png"), picture)
    (tmp_path / "data" / "Sad" / "2.png").write_bytes(b"cut")
    file = tmp_path / "figures.json"
    assert run("--data", f"folder:{tmp_path / 'data'}", "--faces", "--json", str(file)) == 0
    figures = json.loads(file.read_text())
    assert 0 <= figures["accuracy"] <= 1
    assert figures["weights"] == "caer_net_s.safetensors"
    assert figures["data"]["classes"]["Happy"] == 3
    assert figures["data"]["unreadable"] == ["Sad/2.png"]
    picture = cv2.imread(str(file.with_suffix(".png")))
    assert picture is not None
    assert f"accuracy                    {figures['accuracy']:.4f} of 5" in capsys.readouterr().out


def test_a_damaged_picture_is_the_same_for_every_network() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (60, 80, 3), np.uint8)]
    box = (Face(30, 20, 50, 40),)
    examples = [Example(name, name, one_hot(H), partial(list, frames), box) for name in "ab"]
    spec = NetworkSpec(streams="face", face_size=32)
    for kind in ("blur", "noise"):
        shown = [Showing(examples, spec, Conditions(kind)) for _ in range(2)]
        (first, _), (again, _), (other, _) = (
            next(shown[0].views(0)),
            next(shown[1].views(0)),
            next(shown[0].views(1)),
        )
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_the_scene_of_another_or_none_or_in_the_dark_is_a_control() -> None:
    def example(grey: int) -> Example:
        frame = np.full((60, 80, 3), grey, np.uint8)
        return Example(str(grey), "g", one_hot(H), partial(list, [frame]), (Face(1, 1, 9, 9),))

    examples = [example(grey) for grey in (50, 100, 150, 200)]
    spec = NetworkSpec(face_size=16)

    def middles(scene: str) -> list[int]:
        show = Showing(examples, spec, Conditions(scene=scene))
        return [int(next(show.views(i))[1][56, 56, 0]) for i in range(4)]

    assert middles("shown") == [50, 100, 150, 200]
    assert middles("hidden") == [0] * 4
    assert middles("dark") == [7, 15, 22, 30]
    shuffled = middles("shuffled")
    assert sorted(shuffled) == [50, 100, 150, 200]
    assert all(one != other for one, other in zip(shuffled, middles("shown"), strict=True))


def test_classes_that_the_data_set_lacks_are_not_answers() -> None:
    only = frozenset({H, S})
    examples = [dataclasses.replace(shaded(S, A, boxes=False), classes=only)]
    judgement = evaluate.judge(face_engine(), examples)
    assert judgement.probabilities[0] == pytest.approx([0, 0, 0, 0.5, 0, 0.5, 0])


def test_an_advantage_counts_pairs_and_its_interval_draws_groups() -> None:
    labels, groups = np.zeros(40, int), np.repeat(["a", "b", "c", "d"], 10)
    sure, wrong = np.eye(7)[labels], np.eye(7)[labels + 1]
    weights = np.ones((40, 2))
    better = Judgement(labels, sure, weights, groups)
    worse = Judgement(labels, np.where(groups[:, None] == "a", wrong, sure), weights, groups)
    gain, low, high = evaluate.advantage(better, worse)
    assert gain == pytest.approx(0.25)
    # all of it comes from one group of four, so it may as well be none
    assert low == 0 and high > 0.5
    assert evaluate.advantage(better, better) == (0, 0, 0)


@pytest.mark.parametrize("wrong", ["fog", "mouth,fog", ""])
def test_an_unknown_damage_is_refused_with_those_there_are(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--data", "folder:/", "--damage", wrong])
    assert "is none of mouth, mask, eyes" in capsys.readouterr().err


def test_a_folder_that_taught_the_weights_is_judged_by_what_was_held_out(tmp_path: Path) -> None:
    for emotion, name in itertools.product(("Happy", "Sad"), range(5)):
        path = tmp_path / emotion / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.zeros((20, 20, 3), np.uint8))
    source = f"folder:{tmp_path}"
    taught = fingerprint(read(source, "train", faces=True).examples)
    for examples, split in ((taught, "validation"), ("another", "all")):
        spec = NetworkSpec(provenance={"examples": f"x, {examples}"})
        assert evaluate.default_split(source, spec, faces=True) == split
