# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from caer_ros.training.datasets import ferplus, own_splits, read
from caer_ros.training.examples import DataError
from caer_ros.types import Emotion

from .conftest import write_picture

#        neutral happy surprise sad anger disgust fear contempt unknown NF
VOTES = [
    (1, 9, 0, 0, 0, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 3, 1, 0, 6, 0, 0),  # contempt
    (0, 0, 0, 4, 0, 0, 4, 0, 2, 0),
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 10),  # no face
]  # fmt: skip


def write_npz(path: Path, votes: Sequence[Sequence[int]] = VOTES) -> Path:
    images = np.arange(len(votes), dtype=np.uint8)[:, None, None].repeat(48, 1).repeat(48, 2)
    np.savez(path, images=images, votes=np.array(votes, np.uint8))
    return path


def write_official(root: Path) -> Path:
    header = ["Usage", "Image name", *ferplus.VOTES]
    lines = [",".join(header)]
    splits = (
        ("Training", "FER2013Train"),
        ("PublicTest", "FER2013Valid"),
        ("PrivateTest", "FER2013Test"),
    )
    for number, (usage, folder) in enumerate(splits):
        for index, votes in enumerate(VOTES):
            name = f"fer{number}{index:06}.png"
            write_picture(root / folder / name, shade=index, size=(48, 48))
            lines.append(",".join([usage, name, *map(str, votes)]))
        lines.append(",".join([usage, "", *["0"] * 10]))
    (root / "fer2013new.csv").write_text("\n".join(lines) + "\n")
    return root


def test_votes_become_shares_of_the_seven_classes(tmp_path: Path) -> None:
    data = read(f"ferplus:{write_npz(tmp_path / 'a.npz')}")
    assert [example.name for example in data.examples] == ["a/0", "a/2"]
    happy, torn = data.examples
    assert happy.target == pytest.approx([0, 0, 0, 0.9, 0.1, 0, 0])
    assert happy.label is Emotion.HAPPY
    assert torn.target == pytest.approx([0, 0, 0.5, 0, 0, 0.5, 0])
    assert data.without_label == 2


def test_the_picture_of_an_example_is_its_own(tmp_path: Path) -> None:
    data = read(f"ferplus:{write_npz(tmp_path / 'a.npz')}")
    for example, shade in zip(data.examples, (0, 2), strict=True):
        (frame,) = example.load()
        assert np.array_equal(frame, np.full((48, 48, 3), shade, np.uint8))
        assert example.boxes is None


def test_official_folders_give_what_the_npz_files_give(tmp_path: Path) -> None:
    npz = read(f"ferplus:{write_npz(tmp_path / 'a.npz')}")
    root = write_official(tmp_path / "official")
    for split, digit in (("train", 0), ("validation", 1), ("test", 2)):
        data = read(f"ferplus:{root}", split)
        assert all(f"/fer{digit}" in example.name for example in data.examples)
        assert data.without_label == 2
        for ours, same in zip(data.examples, npz.examples, strict=True):
            assert ours.target == pytest.approx(same.target)
            assert np.array_equal(ours.load()[0], same.load()[0])
    assert len(read(f"ferplus:{root}").examples) == 6


def test_an_unreadable_picture_is_skipped_and_named(tmp_path: Path) -> None:
    root = write_official(tmp_path)
    (root / "FER2013Train" / "fer0000000.png").write_bytes(b"cut")
    data = read(f"ferplus:{root}", "train")
    assert data.unreadable == ("FER2013Train/fer0000000.png",)
    assert len(data.examples) == 1


def test_names_of_npz_files_tell_the_split(tmp_path: Path) -> None:
    write_npz(tmp_path / "x_train_0.npz", VOTES[:1])
    write_npz(tmp_path / "x_train_1.npz", VOTES[2:3])
    write_npz(tmp_path / "x_valid.npz", VOTES[:1])
    source = f"ferplus:{tmp_path}"
    assert own_splits(source) == ("train", "validation")
    assert len(read(source, "train").examples) == 2
    assert len(read(source, "validation").examples) == 1
    with pytest.raises(DataError, match="no test split"):
        read(source, "test")


def test_a_single_npz_file_is_split_without_overlap(tmp_path: Path) -> None:
    source = f"ferplus:{write_npz(tmp_path / 'a.npz', VOTES[:1] * 20)}"
    parts = [
        {example.name for example in read(source, split).examples}
        for split in ("train", "validation")
    ]
    assert len(parts[0]) == 16
    assert len(parts[1]) == 4
    assert not parts[0] & parts[1]


def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither fer2013new.csv .* nor npz files"):
        read(f"ferplus:{tmp_path}")


def test_an_npz_file_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="not an npz file with images and votes"):
        read(f"ferplus:{tmp_path / 'a.npz'}")
    np.savez(tmp_path / "b.npz", images=np.zeros((2, 48, 48)), votes=np.zeros((2, 8)))
    with pytest.raises(DataError, match=r"images float64 \(2, 48, 48\)"):
        read(f"ferplus:{tmp_path / 'b.npz'}")
    (tmp_path / "c.npz").write_bytes(write_npz(tmp_path / "d.npz").read_bytes()[:200])
    (tmp_path / "e.npz").touch()
    np.save(tmp_path / "f.npy", np.zeros(3))
    for name in ("c.npz", "e.npz", "f.npy"):
        with pytest.raises(DataError, match=f"{name} is not an npz file"):
            read(f"ferplus:{tmp_path / name}")


def test_a_csv_without_the_votes_is_refused(tmp_path: Path) -> None:
    root = write_official(tmp_path)
    path = root / "fer2013new.csv"
    path.write_text(path.read_text().replace("disgust", "dislike"))
    with pytest.raises(DataError, match="lacks the column 'disgust'"):
        read(f"ferplus:{root}", "train")


@pytest.mark.parametrize("broken", ["1,9,many,0,0,0,0,0,0,0", "1,9,0"])
def test_votes_that_are_no_numbers_are_named_by_their_line(broken: str, tmp_path: Path) -> None:
    root = write_official(tmp_path)
    path = root / "fer2013new.csv"
    path.write_text(path.read_text().replace("1,9,0,0,0,0,0,0,0,0", broken, 1))
    with pytest.raises(DataError, match="line 2: votes must be numbers"):
        read(f"ferplus:{root}", "train")


def test_a_csv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    root = write_official(tmp_path)
    (root / "fer2013new.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DataError, match=r"fer2013new\.csv line \d"):
        read(f"ferplus:{root}", "train")


def test_a_missing_official_folder_is_named(tmp_path: Path) -> None:
    root = write_official(tmp_path)
    (root / "FER2013Train").rename(root / "elsewhere")
    with pytest.raises(DataError, match="no folder FER2013Train"):
        read(f"ferplus:{root}", "train")
    assert own_splits(f"ferplus:{root}") == ("validation", "test")
