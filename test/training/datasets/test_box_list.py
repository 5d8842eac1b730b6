# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from caer_ros.training.datasets import read
from caer_ros.training.examples import DataError
from caer_ros.types import Emotion, Face

from .conftest import write_picture


def write_list(folder: Path, *lines: str) -> str:
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    return f"boxes:{folder / 'train.txt'}"


def test_each_line_is_a_face_with_its_box(tmp_path: Path) -> None:
    write_picture(tmp_path / "train" / "Angry" / "0001.png", shade=7)
    source = write_list(
        tmp_path,
        "path,label,x1,y1,x2,y2",
        "train/Angry/0001.png,Angry,10,5,30.5,40",
        "train/Angry/0001.png, 6, 40, 5, 60, 40",
    )
    first, second = read(source).examples
    assert first.boxes == (Face(10, 5, 30.5, 40),)
    assert first.label is Emotion.ANGER
    assert second.label is Emotion.SURPRISE
    assert first.name != second.name
    assert first.group == second.group
    assert first.load()[0].mean() == 7


def test_a_listed_picture_that_is_missing_is_left_out_and_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    data = read(write_list(tmp_path, "a.png,Sad,1,1,9,9", "b.png,Sad,1,1,9,9"))
    assert data.unreadable == ("b.png#2",)
    assert len(data.examples) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,Sad,1,1,9", "line 2 has 5 values, expected path,label,x1,y1,x2,y2"),
        ("a.png,Sad,1,1,9,wide", "line 2: box 1,1,9,wide is not four numbers"),
        ("a.png,Sad,9,1,1,9", "line 2: box 9,1,1,9 lacks x2 > x1"),
        ("a.png,Sad,nan,1,1,9", "line 2: box nan,1,1,9 is not four numbers"),
        ("a.png,Sad,1,1,inf,9", "line 2: box 1,1,inf,9 is not four numbers"),
        ("a.png,Bored,1,1,9,9", "line 2: 'Bored' is none of the classes"),
        ("a.png,7,1,1,9,9", "line 2: label 7 is above 6"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    write_picture(tmp_path / "a.png")
    with pytest.raises(DataError, match=message):
        read(write_list(tmp_path, "a.png,Sad,1,1,9,9", line))


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lists no face"):
        read(write_list(tmp_path, "path,label,x1,y1,x2,y2"))


def test_a_list_that_is_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a box list"):
        read(f"boxes:{write_picture(tmp_path / 'a.png')}")


def test_a_list_written_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    source = write_list(tmp_path, "\ufeffa.png,Sad,1,1,9,9")
    assert len(read(source).examples) == 1
