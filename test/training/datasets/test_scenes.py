# SPDX-License-Identifier: Apache-2.0
"""Scene tables: what they teach, how they are split, and what is said of a wrong one."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from caer_ros.training.datasets import own_splits, read
from caer_ros.training.examples import DataError
from caer_ros.types import Emotion, Face

COLUMNS = "archive,file,source,label,group,x1,y1,x2,y2,split".split(",")


def picture(number: int) -> bytes:
    """A PNG that is told by its grey."""
    return cv2.imencode(".png", np.full((40, 60, 3), 10 * number, np.uint8))[1].tobytes()


def write_table(
    folder: Path, rows: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS
) -> Path:
    """Write `scenes.csv` and `a.tar` with the pictures 0.png to 8.png."""
    with tarfile.open(folder / "a.tar", "w") as archive:
        for number in range(9):
            content = picture(number)
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    table = folder / "scenes.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return table


def row(number: int, source: str, label: str, split: str = "train") -> list[object]:
    return ["a.tar", f"{number}.png", source, label, f"g{number}", 20, 5, 40, 25, split]


def test_pictures_are_read_where_they_lie_in_their_archive(tmp_path: Path) -> None:
    table = write_table(tmp_path, [row(3, "7", "happy"), row(1, "7", "sad", "validation")])
    data = read(f"scenes:{table}", "train")
    (example,) = data.examples
    (image,) = example.load()
    assert image.shape == (40, 60, 3) and (image == 30).all()
    assert example.boxes == (Face(20, 5, 40, 25),)
    assert (example.label, example.group) == (Emotion.HAPPY, "g3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "scenes.csv"]
    assert own_splits(f"scenes:{table}") == ("train", "validation")
    (other,) = read(f"scenes:{table}", "validation").examples
    assert (other.load()[0] == 10).all()


def test_a_picture_may_lie_beside_the_table(tmp_path: Path) -> None:
    table = write_table(tmp_path, [["", "x.png", *row(0, "7", "sad")[2:]]])
    (tmp_path / "x.png").write_bytes(picture(9))
    (example,) = read(f"scenes:{table}").examples
    assert (example.load()[0] == 90).all()


def test_a_picture_teaches_which_of_the_classes_of_its_own_sources_it_shows(
    tmp_path: Path,
) -> None:
    rows = [row(0, "1", "happy"), row(1, "1", "sad"), row(2, "2", "angry"), row(3, "2+1", "sad")]
    examples = read(f"scenes:{write_table(tmp_path, rows)}").examples
    pair = frozenset({Emotion.HAPPY, Emotion.SAD})
    assert examples[0].classes == examples[1].classes == pair
    assert examples[2].classes == {Emotion.ANGER, Emotion.SAD}
    assert examples[3].classes == pair | {Emotion.ANGER}


def test_lines_without_label_are_left_out_and_those_without_face_kept(tmp_path: Path) -> None:
    faceless = ["a.tar", "1.png", "1", "sad", "g", "", "", "", "", "train"]
    rows = [row(0, "1", ""), faceless, row(2, "1", "happy")]
    examples = read(f"scenes:{write_table(tmp_path, rows)}").examples
    assert [example.has_face for example in examples] == [False, True]


def test_whole_sources_are_held_out_where_the_table_names_no_split(tmp_path: Path) -> None:
    columns = COLUMNS[:-1]
    rows = [row(n, str(n % 3), "sad")[:-1] for n in range(8)]
    rows.append(row(8, "0+1+2", "sad")[:-1])
    table = write_table(tmp_path, rows, columns)
    train, validation = (
        read(f"scenes:{table}", part).examples for part in ("train", "validation")
    )
    names = [{int(example.name[6:-4]) % 3 for example in part} for part in (train, validation)]
    assert len(names[0]) == 2 and len(names[1]) == 1
    assert not names[0] & names[1]
    # the picture of all three sources is in neither
    assert len(train) + len(validation) == 8


def test_without_sources_nothing_is_held_out(tmp_path: Path) -> None:
    columns = [c for c in COLUMNS if c not in ("source", "split")]
    rows = [[c for i, c in enumerate(row(n, "", "sad")) if i not in (2, 9)] for n in range(3)]
    table = write_table(tmp_path, rows, columns)
    assert len(read(f"scenes:{table}").examples) == 3
    with pytest.raises(DataError, match="without the column 'source'"):
        read(f"scenes:{table}", "validation")


@pytest.mark.parametrize("column", ["file", "label", "x1", "y2"])
def test_a_missing_column_is_named(column: str, tmp_path: Path) -> None:
    index = COLUMNS.index(column)
    line = row(0, "1", "sad")
    table = write_table(
        tmp_path, [line[:index] + line[index + 1 :]], [c for c in COLUMNS if c != column]
    )
    with pytest.raises(DataError, match=rf"scenes\.csv lacks the column '{column}'"):
        read(f"scenes:{table}")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", "bored", "line 2: column 'label': 'bored' is none of the classes"),
        ("x1", "left", "line 2: columns x1,y1,x2,y2 are left,5,40,25, expected four numbers"),
        ("x1", "", "line 2: columns x1,y1,x2,y2 are ,5,40,25, expected four numbers"),
        ("x2", "20", "line 2: columns x1,y1,x2,y2 lack x2 > x1"),
        ("split", "dev", "line 2: column 'split' is 'dev', expected train, validation, test"),
        ("file", "", "line 2: column 'file' is empty"),
        ("archive", "b.tar", "column 'archive': .*b.tar cannot be read as a tar file"),
    ],
)
def test_a_wrong_cell_is_named(column: str, value: str, message: str, tmp_path: Path) -> None:
    line = row(0, "1", "sad")
    line[COLUMNS.index(column)] = value
    table = write_table(tmp_path, [line])
    with pytest.raises(DataError, match=message):
        read(f"scenes:{table}")


def test_what_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    gone = ["a.tar", "99.png", *row(0, "1", "sad")[2:]]
    table = write_table(tmp_path, [row(0, "1", "sad"), gone])
    assert read(f"scenes:{table}").unreadable == ("a.tar/99.png",)
    content = (tmp_path / "a.tar").read_bytes()
    start = content.index(b"\x89PNG")
    (tmp_path / "a.tar").write_bytes(content[: start + 30] + b"\0" * 40 + content[start + 70 :])
    (example,) = read(f"scenes:{table}").examples
    with pytest.raises(DataError, match=r"a\.tar/0\.png cannot be read"):
        example.load()


def test_a_table_written_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    table = write_table(tmp_path, [row(0, "1", "sad")])
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert len(read(f"scenes:{table}").examples) == 1
