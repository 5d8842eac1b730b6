# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from caer_ros.training.datasets import own_splits, read
from caer_ros.training.datasets.files import film_of
from caer_ros.training.examples import DataError
from caer_ros.types import Emotion

from .conftest import CLASSES, write_picture, write_scene, write_scene_video, write_video


def test_face_crops_need_no_detector(class_folders: Callable[..., Path]) -> None:
    data = read(f"folder:{class_folders()}", faces=True)
    assert len(data.examples) == 14
    assert data.counts == dict.fromkeys((e.name.capitalize() for e in Emotion), 2)
    happy = next(e for e in data.examples if e.name == "Happy/0001.png")
    assert happy.label is Emotion.HAPPY
    assert happy.boxes is None
    assert happy.load()[0].mean() == 90


def test_scenes_come_with_the_face_in_them(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "Surprise" / "0001.png", index=4)
    (example,) = read(f"folder:{tmp_path}").examples
    (box,) = example.boxes or ()
    assert box.x1 == pytest.approx(scene.face.x1, abs=6)
    assert box.y2 == pytest.approx(scene.face.y2, abs=6)


def test_a_picture_without_a_face_is_left_out_and_named(tmp_path: Path) -> None:
    write_scene(tmp_path / "Sad" / "face.png", index=8)
    write_picture(tmp_path / "Sad" / "wall.png", shade=90)
    data = read(f"folder:{tmp_path}")
    assert [example.name for example in data.examples] == ["Sad/face.png"]
    assert data.without_face == ("Sad/wall.png",)
    assert "1 left out, no face found: Sad/wall.png" in str(data)


def test_a_video_without_a_face_is_left_out_and_named(tmp_path: Path) -> None:
    write_scene(tmp_path / "Sad" / "face.png", index=8)
    write_video(tmp_path / "Sad" / "empty.avi", frames=5, rate=10)
    assert read(f"folder:{tmp_path}").without_face == ("Sad/empty.avi",)


def test_nothing_left_to_use_is_an_error_that_says_why(tmp_path: Path) -> None:
    write_picture(tmp_path / "Sad" / "wall.png")
    with pytest.raises(DataError, match=r"no example is left(.|\n)*no face found: Sad/wall\.png"):
        read(f"folder:{tmp_path}")


def test_an_unreadable_picture_is_left_out_and_named(class_folders: Callable[..., Path]) -> None:
    root = class_folders()
    broken = root / "Fear" / "0001.png"
    broken.write_bytes(broken.read_bytes()[:30])
    data = read(f"folder:{root}", faces=True)
    assert data.unreadable == ("Fear/0001.png",)
    assert len(data.examples) == 13
    assert "1 left out, unreadable: Fear/0001.png" in str(data)


def test_caer_has_three_splits_of_videos(tmp_path: Path) -> None:
    for split, count in (("train", 2), ("validation", 1), ("test", 1)):
        for name in ("Anger", "Happy"):
            for index in range(count):
                write_scene_video(tmp_path / split / name / f"{index:04}.avi", frames=12)
    source = f"caer:{tmp_path}"
    assert own_splits(source) == ("train", "validation", "test")
    assert len(read(source).examples) == 8
    train = read(source, "train").examples
    assert [example.name for example in train][:2] == [
        "train/Anger/0000.avi",
        "train/Anger/0001.avi",
    ]
    assert len(train[0].load()) == 5  # 12 frames at 24 Hz, 10 of them a second
    assert len(train[0].boxes or ()) == 5


def test_caer_s_holds_validation_out_of_its_training_split(
    class_folders: Callable[..., Path],
) -> None:
    classes = ("Angry", *CLASSES[1:])
    class_folders("train", per_class=5, classes=classes)
    root = class_folders("test", per_class=1, classes=classes)
    source = f"caer-s:{root}"
    parts = {
        split: {example.name for example in read(source, split, faces=True).examples}
        for split in ("train", "validation", "test")
    }
    assert {split: len(names) for split, names in parts.items()} == {
        "train": 28,
        "validation": 7,
        "test": 7,
    }
    assert not parts["train"] & parts["validation"]
    assert all(name.startswith("train/") for name in parts["train"] | parts["validation"])


def test_afew_is_read_by_its_two_folders(tmp_path: Path) -> None:
    write_scene_video(tmp_path / "Train_AFEW" / "Angry" / "000046280.avi", frames=3)
    write_scene_video(tmp_path / "Val_AFEW" / "Angry" / "000107200.avi", frames=3)
    source = f"afew:{tmp_path}"
    (example,) = read(source, "validation").examples
    assert example.name == "Val_AFEW/Angry/000107200.avi"
    assert example.label is Emotion.ANGER
    with pytest.raises(DataError, match="no test split"):
        read(source, "test")


def test_a_film_is_never_torn_apart(class_folders: Callable[..., Path]) -> None:
    root = class_folders(per_class=0, classes=())
    for film in range(10):
        for shot in range(3):
            write_picture(root / CLASSES[shot] / f"Film{film}_00000000{shot}_00000001.png")
    source = f"folder:{root}"
    train = {e.group for e in read(source, "train", faces=True).examples}
    held_out = {e.group for e in read(source, "validation", faces=True).examples}
    assert len(train) == 8
    assert len(held_out) == 2
    assert not train & held_out


def test_a_folder_between_class_and_file_names_the_video(tmp_path: Path) -> None:
    write_picture(tmp_path / "Happy" / "clip7" / "a.png")
    (example,) = read(f"folder:{tmp_path}", faces=True).examples
    assert example.group == "clip7"


def test_a_single_film_cannot_be_split(tmp_path: Path) -> None:
    write_picture(tmp_path / "Happy" / "clip7" / "a.png")
    with pytest.raises(DataError, match="all data come from clip7"):
        read(f"folder:{tmp_path}", "train", faces=True)


@pytest.mark.parametrize(
    ("name", "film"),
    [
        ("OceansEleven_011234567_00000012.png", "OceansEleven"),
        ("OceansThirteen-010619400_00000012.png", "OceansThirteen"),
        ("HarryPotter_Deathly_Hallows_1_000046280_00000081.png", "HarryPotter"),
        ("IAmSam_013827920__00000055.png", "IAmSam"),
        ("0001.png", None),
        ("my_picture.png", None),
        ("fer0000001.png", None),
    ],
)
def test_only_names_with_a_time_code_name_a_film(name: str, film: str | None) -> None:
    assert film_of(Path(name)) == film


def test_an_unknown_class_folder_is_named(class_folders: Callable[..., Path]) -> None:
    root = class_folders(classes=("Happy", "Contempt"))
    with pytest.raises(DataError, match="'Contempt' is none of the classes"):
        read(f"folder:{root}", faces=True)


def test_a_class_folder_without_a_picture_is_named(class_folders: Callable[..., Path]) -> None:
    root = class_folders(classes=("Happy",))
    (root / "Sad").mkdir()
    (root / "Sad" / "notes.txt").touch()
    with pytest.raises(DataError, match="Sad holds no file of type"):
        read(f"folder:{root}", faces=True)


def test_hidden_folders_are_not_classes(class_folders: Callable[..., Path]) -> None:
    root = class_folders(classes=("Happy",))
    (root / ".thumbnails").mkdir()
    (root / "__MACOSX").mkdir()
    assert len(read(f"folder:{root}", faces=True).examples) == 2


@pytest.mark.parametrize("layout", ["caer", "caer-s", "afew"])
def test_a_folder_of_another_layout_is_refused(
    class_folders: Callable[..., Path], layout: str
) -> None:
    with pytest.raises(DataError, match=r"holds none of the folders .* is read as folder:<dir>"):
        read(f"{layout}:{class_folders()}")


def test_a_split_that_is_missing_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "train" / "Happy" / "0001.avi", frames=2, rate=10)
    with pytest.raises(DataError, match="has no test split"):
        read(f"caer:{tmp_path}", "test")
    (tmp_path / "train").rename(tmp_path / "test")
    with pytest.raises(DataError, match="holds no folder train, only test"):
        read(f"caer:{tmp_path}", "train")


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no class folders"):
        read(f"folder:{tmp_path}")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "films.zip").touch()
    with pytest.raises(DataError, match=r"films\.zip is a file, expected a folder"):
        read(f"folder:{tmp_path / 'films.zip'}")


@pytest.mark.parametrize("source", ["caer", "caer:", "videos:/tmp", "/tmp", "synthetic:many"])
def test_a_source_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(DataError, match=source):
        read(source)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        read(f"folder:{tmp_path / 'nowhere'}")


def test_files_of_another_kind_are_counted_and_named(class_folders: Callable[..., Path]) -> None:
    root = class_folders(classes=("Happy",))
    for name in ("0009.heic", "0010.flv", ".hidden"):
        (root / "Happy" / name).write_bytes(b"x")
    data = read(f"folder:{root}", faces=True)
    assert len(data.examples) == 2
    assert data.unreadable == ("Happy/0009.heic", "Happy/0010.flv")
