# SPDX-License-Identifier: Apache-2.0
"""Files and folders appear whole or not at all, and nothing of others is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from caer_ros.files import (
    MANIFEST,
    FileError,
    whole_file,
    whole_folder,
    write_file,
    write_json,
)


def content(folder: Path) -> dict[str, str]:
    """Return the files of a folder, but not its manifest."""
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }


def result(path: Path, **files: str) -> None:
    """Write a folder with these files."""
    with whole_folder(path, replace=True) as folder:
        for name, text in files.items():
            file = folder / name.replace("__", "/")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)


def test_text_and_bytes_come_out_as_they_went_in(tmp_path: Path) -> None:
    write_file(tmp_path / "text", "Grüße\r\n")
    assert (tmp_path / "text").read_bytes() == "Grüße\r\n".encode()
    write_file(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"
    write_json(tmp_path / "json", {"a": [1]})
    assert json.loads((tmp_path / "json").read_text()) == {"a": [1]}


def test_a_file_has_the_rights_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    write_file(tmp_path / "file", "")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "old")
    with pytest.raises(RuntimeError), whole_file(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
        raise RuntimeError
    assert content(tmp_path) == {"file": "old"}


def test_a_folder_that_is_missing_is_not_made_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "no" / "file"
    with pytest.raises(FileError, match=f"cannot write {path}: No such file"):
        write_file(path, "")
    assert not path.parent.exists()


def test_a_link_goes_on_pointing_to_the_file(tmp_path: Path) -> None:
    write_file(tmp_path / "file", "old")
    (tmp_path / "link").symlink_to("file")
    write_file(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code = "import pathlib, sys; print(pathlib.Path(sys.argv[1]).read_text())"
    reader = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "pipe"], stdout=subprocess.PIPE, text=True
    )
    write_file(tmp_path / "pipe", "through")
    assert reader.communicate()[0] == "through\n"
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("kind", ["file", "folder", "file in a folder"])
def test_a_full_disk_names_the_place_asked_for_and_leaves_what_was(
    kind: str, tmp_path: Path
) -> None:
    # a process of its own, whose file size limit stands for the disk's
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from caer_ros.files import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "path = Path(sys.argv[1])\n"
        "try:\n"
        "    if sys.argv[2] == 'file': write_file(path, 'x' * 10000)\n"
        "    with whole_folder(path, replace=True) as folder:\n"
        "        if sys.argv[2] == 'folder': (folder / 'file').write_text('x' * 10000)\n"
        "        write_file(folder / 'file', 'x' * 10000)\n"
        "except FileError as error: print(error)\n"
    )
    path = tmp_path / "out"
    write_file(path, "old") if kind == "file" else result(path, file="old")
    done = subprocess.run(
        [sys.executable, "-c", code, path, kind], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert list(content(tmp_path).values()) == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_when_it_is_whole_and_not_over_another(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder"
    with pytest.raises(RuntimeError), whole_folder(path) as folder:
        (folder / "file").write_text("half")
        assert not path.exists()
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with whole_folder(path) as folder:
        (folder / "file").write_text("whole")
    assert content(path) == {"file": "whole"}
    with pytest.raises(FileError, match="folder exists already"), whole_folder(path):
        pass


def test_a_folder_of_ours_is_replaced_and_what_others_put_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()  # empty, so nobody's
    result(path, a="1", bag__a="1", only_first="1")
    (path / "notes").write_text("mine")
    (path / "bag" / "notes").write_text("mine too")
    (path / "link").symlink_to("/nowhere")
    result(path, a="2", bag__a="2")
    assert content(path) == {"a": "2", "bag/a": "2", "bag/notes": "mine too", "notes": "mine"}
    assert (path / "link").is_symlink()
    result(path, a="3")
    assert content(path) == {"a": "3", "bag/notes": "mine too", "notes": "mine"}
    assert list(tmp_path.iterdir()) == [path]


def test_notes_are_not_written_over_by_a_result_of_the_same_name(tmp_path: Path) -> None:
    path = tmp_path / "out"
    result(path, a="1")
    (path / "b").write_text("mine")
    with pytest.raises(FileError, match="out/b was not written by caer_ros"):
        result(path, a="2", b="2")
    assert content(path) == {"a": "1", "b": "mine"}


@pytest.mark.parametrize("manifest", [None, "{", "[]", '{"files": 3}'])
def test_a_folder_of_others_is_left_alone(manifest: str | None, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    if manifest is not None:
        (tmp_path / MANIFEST).write_text(manifest)
    with pytest.raises(FileError, match="holds files that caer_ros did not write"):
        result(tmp_path, a="1")
    assert content(tmp_path) == {"a": "mine"}


def test_an_error_of_reading_elsewhere_is_not_called_one_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / "out"):
        (tmp_path / "missing").read_text()


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(FileError, match=f"cannot write {path}: "):
            result(path)
