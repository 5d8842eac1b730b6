# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from caer_ros.training.datasets.faces import FaceFinder, main_face
from caer_ros.training.examples import DataError
from caer_ros.types import CaerError, Face

from .conftest import write_picture, write_scene


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "faces.sqlite"


def entries(cache: Path) -> int:
    with sqlite3.connect(cache) as connection:
        return connection.execute("SELECT count(*) FROM files").fetchone()[0]


def test_what_was_found_is_found_again_without_the_detector(tmp_path: Path, cache: Path) -> None:
    write_scene(tmp_path / "a.png", index=4)
    finder = FaceFinder(cache)
    (found,) = finder.find(tmp_path / "a.png")
    finder.close()
    assert len(found) == 1
    # the same size and time: the cache answers, not the picture
    stat = (tmp_path / "a.png").stat()
    (tmp_path / "a.png").write_bytes(b"x" * stat.st_size)
    os.utime(tmp_path / "a.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = FaceFinder(cache)
    assert again.find(tmp_path / "a.png") == [found]


def test_a_changed_picture_is_looked_at_again(tmp_path: Path, cache: Path) -> None:
    write_scene(tmp_path / "a.png", index=4)
    finder = FaceFinder(cache)
    assert finder.find(tmp_path / "a.png") != [[]]
    write_picture(tmp_path / "a.png", shade=90)
    assert finder.find(tmp_path / "a.png") == [[]]
    assert entries(cache) == 2


def test_two_processes_may_share_the_cache(tmp_path: Path, cache: Path) -> None:
    write_scene(tmp_path / "a.png", index=4)
    first, second = FaceFinder(cache), FaceFinder(cache)
    assert first.find(tmp_path / "a.png") == second.find(tmp_path / "a.png")
    assert entries(cache) == 1


def test_a_broken_cache_is_named(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_bytes(b"not a database" * 100)
    with pytest.raises(DataError, match="cannot keep found faces in .*faces.sqlite"):
        FaceFinder(cache)


def box(x: float, size: float = 10.0) -> Face:
    return Face(x, 0.0, x + size, size)


def test_a_cache_that_breaks_meanwhile_is_named_not_the_picture(
    tmp_path: Path, cache: Path
) -> None:
    write_picture(tmp_path / "a.png")
    finder = FaceFinder(cache)
    cache.write_bytes(b"x" * 8192)
    with pytest.raises(CaerError, match="cannot keep found faces in .*faces.sqlite") as raised:
        finder.find(tmp_path / "a.png")
    assert not isinstance(raised.value, DataError)


def test_of_several_faces_the_largest_is_taken() -> None:
    assert main_face([[box(0), box(20, 12), box(50)]]) == (box(20, 12),)


def test_no_face_in_any_frame_is_none() -> None:
    assert main_face([[], []]) is None


def test_a_person_is_followed_from_the_largest_face_to_both_ends() -> None:
    found = [[box(1), box(40, 11)], [box(3, 12), box(40, 11)], [box(5), box(40, 11)]]
    assert main_face(found) == (box(1), box(3, 12), box(5))


def test_a_missed_face_is_interpolated_and_held_at_the_ends() -> None:
    boxes = main_face([[], [box(0)], [], [box(4)], []])
    assert boxes is not None
    assert [face.x1 for face in boxes] == [0, 0, 2, 4, 4]
    assert [face.score for face in boxes] == [0, 1, 0, 1, 0]


def test_another_person_does_not_take_over() -> None:
    boxes = main_face([[box(0, 20)], [box(60)], [box(2, 20)]])
    assert boxes is not None
    assert [face.x1 for face in boxes] == [0, 1, 2]
