# SPDX-License-Identifier: Apache-2.0
"""Data sets laid out as one folder a class: CAER, CAER-S, AFEW, and folders of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from caer_ros.training.datasets.classes import emotion_named
from caer_ros.training.datasets.files import LabelledFile, film_of
from caer_ros.training.datasets.media import VIDEOS
from caer_ros.training.examples import DataError
from caer_ros.video import PICTURES


@dataclass(frozen=True)
class Layout:
    """What lies in the class folders, and which folder above them holds which split.

    Without `folders` the class folders lie in the root itself.
    """

    suffixes: frozenset[str]
    folders: Mapping[str, str] = field(default_factory=dict)


LAYOUTS = {
    "caer": Layout(VIDEOS, {"train": "train", "validation": "validation", "test": "test"}),
    "caer-s": Layout(PICTURES, {"train": "train", "test": "test"}),
    "afew": Layout(VIDEOS, {"train": "Train_AFEW", "validation": "Val_AFEW"}),
    "folder": Layout(PICTURES | VIDEOS),
}


def own_splits(root: Path, layout: Layout) -> tuple[str, ...]:
    """Return the splits whose folders are there; none for a layout that has none.

    Raises:
        DataError: where not one of the layout's folders is there.
    """
    splits = tuple(split for split, name in layout.folders.items() if (root / name).is_dir())
    if layout.folders and not splits:
        raise DataError(
            f"{root} holds none of the folders {', '.join(layout.folders.values())}; "
            "a folder that holds the classes themselves is read as folder:<dir>"
        )
    return splits


def list_files(root: Path, split: str, layout: Layout) -> list[LabelledFile]:
    """Return the files of one of the layout's own splits, or of all, ordered by name.

    Raises:
        DataError: where folders are missing, empty or of no known class.
    """
    if not layout.folders:
        return list(_class_folders(root, root, layout.suffixes))
    present = own_splits(root, layout)
    if split not in (*present, "all"):
        there = ", ".join(layout.folders[name] for name in present)
        raise DataError(f"{root} holds no folder {layout.folders[split]}, only {there}")
    wanted = present if split == "all" else (split,)
    folders = [root / layout.folders[name] for name in wanted]
    return [file for folder in folders for file in _class_folders(root, folder, layout.suffixes)]


def _class_folders(root: Path, folder: Path, suffixes: frozenset[str]) -> Iterator[LabelledFile]:
    if not folder.is_dir():
        raise DataError(f"{folder} is a file, expected a folder with one of each class in it")
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] not in "._")
    if not classes:
        raise DataError(f"{folder} holds no class folders, such as Happy and Sad")
    for directory in classes:
        emotion = emotion_named(directory.name, folder)
        paths = sorted(p for p in directory.rglob("*") if p.is_file() and p.name[0] not in "._")
        if not any(path.suffix.lower() in suffixes for path in paths):
            kinds = ", ".join(sorted(suffix[1:] for suffix in suffixes))
            raise DataError(f"class folder {directory} holds no file of type {kinds}")
        for path in paths:
            name = path.relative_to(root).as_posix()
            known = path.suffix.lower() in suffixes
            yield LabelledFile(name, _group(path, directory, name), path, emotion, known=known)


def _group(path: Path, class_folder: Path, name: str) -> str:
    """Return the video or film that a path names, else the file itself.

    It is named by a folder between class folder and file, or by the file name (`film_of`). CAER,
    CAER-S and AFEW number their files and name nothing: their own splits are all there is.
    """
    between = path.relative_to(class_folder).parts[:-1]
    return between[0] if between else film_of(path) or name
