# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from caer_ros.paths import package_version
from caer_ros.types import CaerError

MANIFEST = ".caer_ros.json"
"""File in a folder that `whole_folder` wrote: it names every other file written with it."""


class FileError(CaerError):
    """A file or folder that cannot be written."""


@contextmanager
def whole_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that appears under `path` only once the block ends without an exception.

    Until then it lies beside `path` under a hidden name, and what was at `path` stays. The folder
    has to be there. Text is UTF-8, its line ends are left as they are. A device or pipe is
    written to as it stands.

    Args:
        mode: `w` for text, `wb` for bytes.

    Raises:
        FileError: where it cannot be written, naming `path` and why.
    """
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    target = path.resolve()  # what a link points to is replaced, not the link
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    with _naming(path, partial):
        if target.exists() and not target.is_file() and not target.is_dir():
            with target.open(mode, **text) as file:
                yield file
            return
        try:
            with partial.open(mode.replace("w", "x"), **text) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    Raises:
        FileError: where it cannot be written, naming `path` and why.
    """
    with whole_file(path, "wb" if isinstance(content, bytes) else "w") as file:
        file.write(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON to `path`, whole or not at all.

    Raises:
        FileError: where it cannot be written, naming `path` and why.
    """
    write_file(path, json.dumps(content, indent=2) + "\n")


@contextmanager
def whole_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that appears under `path` once the block ends without an exception.

    Folders above `path` are made. With `replace` the folder gets a `MANIFEST`, and may take the
    place of an empty folder or of one that has a manifest from before. Of that one only the files
    that its manifest names give way; whatever else lies there, notes for example, is kept.

    Raises:
        FileError: where `path` exists, or with `replace` holds files of others, and where it
            cannot be written; it is left as it was.
    """
    target = path.resolve()
    with _naming(path):
        if replace:
            _written(target, path)
        elif target.exists():
            raise FileError(f"{path} exists already; remove it or choose another name")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent)
    with temporary:
        # one below, because a TemporaryDirectory is for its owner alone
        fresh = Path(temporary.name, target.name)
        with _naming(path):
            fresh.mkdir()
        with _naming(path, fresh):
            yield fresh
        with _naming(path):
            if replace:
                files = sorted(str(file.relative_to(fresh)) for file in _files(fresh))
                write_json(fresh / MANIFEST, {"caer_ros": package_version(), "files": files})
            if replace and target.exists():
                _keep_others(target, fresh, path)
                target.rename(Path(temporary.name, "before"))
            fresh.rename(target)


def _written(folder: Path, path: Path) -> set[Path]:
    """Return the files in `folder` that `whole_folder` wrote; `path` is its name for errors."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise FileError(f"cannot write {path}: it is no folder")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {folder / MANIFEST, *(folder / name for name in manifest["files"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        if not any(folder.iterdir()):
            return set()
        raise FileError(
            f"{path} holds files that caer_ros did not write, none is touched; "
            "choose another folder"
        ) from error


def _keep_others(old: Path, fresh: Path, path: Path) -> None:
    """Link into `fresh` what lies in `old` and was not written by `whole_folder`."""
    written = _written(old, path)
    for file in _files(old):
        if file in written:
            continue
        kept = fresh / file.relative_to(old)
        if kept.exists():
            raise FileError(
                f"{file} was not written by caer_ros and would be replaced; move it, or choose "
                "another folder"
            )
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, kept, follow_symlinks=False)
        except OSError:  # some file systems have no links
            shutil.copy2(file, kept, follow_symlinks=False)


def _files(folder: Path) -> list[Path]:
    """Return all files and links below `folder`."""
    return [file for file in folder.rglob("*") if file.is_symlink() or not file.is_dir()]


@contextmanager
def _naming(path: Path, place: Path | None = None) -> Iterator[None]:
    """Turn an error of writing into a `FileError` that names `path`.

    With `place`, only errors there and those that name no file: a block of the caller's may fail
    at other files too.
    """
    try:
        yield
    except OSError as error:
        name = None if error.filename is None else Path(os.fsdecode(error.filename))
        if place and name and place not in (name, *name.parents):
            raise
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    except FileError as error:
        # of a file inside a folder that is not there yet: its name would lead nowhere
        cause = error.__cause__
        if place and isinstance(cause, OSError) and f"{place}{os.sep}" in str(error):
            raise FileError(f"cannot write {path}: {cause.strerror or cause}") from cause
        raise
