# SPDX-License-Identifier: Apache-2.0
"""Data sets in their own layouts, read into examples.

A source is `<layout>:<path>`:

    caer:<dir>      {train,validation,test}/<Class>/0001.avi
    caer-s:<dir>    {train,test}/<Class>/0001.png
    afew:<dir>      {Train_AFEW,Val_AFEW}/<Class>/*.avi
    ferplus:<path>  FER2013{Train,Valid,Test}/ with fer2013new.csv, or npz files
    boxes:<file>    lines of path,label,x1,y1,x2,y2
    scenes:<csv>    a table of pictures with face, label and source (`scenes.py`)
    folder:<dir>    <Class>/ with pictures or videos of scenes, or of face crops
    clips:<source>  clips of 16 frames made of the stills of any of these (`made_clips.py`)
    synthetic:<n>   n drawn scenes (`caer_ros.training.synthetic`); synthetic-clips:<n> the same as
                    clips
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from caer_ros.training.datasets import box_list, class_folders, ferplus, scenes, synthetic
from caer_ros.training.datasets.dataset import DataSet, held_out_groups
from caer_ros.training.datasets.files import LabelledFile
from caer_ros.training.datasets.made_clips import make_clips
from caer_ros.training.datasets.media import read_frames
from caer_ros.training.examples import DataError, Example, one_hot
from caer_ros.types import Face

__all__ = ["SPLITS", "DataSet", "add_data_arguments", "own_splits", "read"]

Item = TypeVar("Item", LabelledFile, Example)

SPLITS = ("train", "validation", "test", "all")

CLIPS = "clips:"
"""What makes a source of stills one of clips."""


class Reader(NamedTuple):
    """How a layout is read.

    own_splits: the splits that a data set at a path makes itself. read: its examples, or its
    files, of one of these or of all.
    """

    own_splits: Callable[[Path], tuple[str, ...]]
    read: Callable[[Path, str], DataSet | list[LabelledFile]]


READERS = {
    **{
        name: Reader(
            partial(class_folders.own_splits, layout=layout),
            partial(class_folders.list_files, layout=layout),
        )
        for name, layout in class_folders.LAYOUTS.items()
    },
    "boxes": Reader(lambda path: (), lambda path, split: box_list.list_files(path)),
    "ferplus": Reader(ferplus.own_splits, ferplus.read),
    "scenes": Reader(scenes.own_splits, scenes.read),
    **{
        name: Reader(lambda path: synthetic.SPLITS, partial(synthetic.read, layout=name))
        for name in synthetic.LAYOUTS
    },
}
"""By the name of the layout in a source."""


def add_data_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add --data, a source or with `several` a list of them, and --faces, as `read` takes them."""
    parser.add_argument(
        "--data",
        action="append" if several else "store",
        required=True,
        metavar="LAYOUT:PATH",
        help=f"{', '.join(READERS)}; and where it lies; {CLIPS} before it for clips made of "
        "stills (docs/training.md)" + ("; may be repeated" if several else ""),
    )
    parser.add_argument("--faces", action="store_true", help="the pictures are face crops")


def read(source: str, split: str = "all", *, faces: bool = False) -> DataSet:
    """Read one split of a data set.

    Where a data set has no validation split of its own, a fifth of the films, videos or files of
    its training split is held out for it, chosen by a hash of their names; a film is never in
    both. In a picture with several faces the largest is taken; files without a face and files
    that cannot be decoded are left out and named in the result.

    Args:
        source: `<layout>:<path>`, see above; with `clips:` before it, clips made of its stills.
        split: one of `SPLITS`.
        faces: the pictures are face crops already: no face is looked for, there is no scene.

    Raises:
        DataError: for a source that is missing, of another layout, or without such a split.
    """
    if source.startswith(CLIPS):
        return make_clips(read(source.removeprefix(CLIPS), split, faces=faces))
    reader, root = _parse(source)
    named = reader.own_splits(root)
    if split == "test" and "test" not in named:
        raise DataError(f"{source} has no test split; evaluate validation or all of it instead")
    held_out = split in ("train", "validation") and "validation" not in named
    found = reader.read(root, ("train" if named else "all") if held_out else split)
    if isinstance(found, DataSet):
        part = _part(found.examples, split) if held_out else found.examples
        return replace(found, split=split, examples=part)
    return _examples(_part(found, split) if held_out else found, source, split, faces)


def own_splits(source: str) -> tuple[str, ...]:
    """Return the splits that the data set itself makes, none for one that makes none."""
    reader, root = _parse(source.removeprefix(CLIPS))
    return reader.own_splits(root)


def _parse(source: str) -> tuple[Reader, Path]:
    layout, _, path = source.partition(":")
    if layout not in READERS or not path:
        raise DataError(
            f"data {source!r} is not <layout>:<path> with one of the layouts {', '.join(READERS)}"
        )
    root = Path(path).expanduser()
    if layout in synthetic.LAYOUTS:
        if not path.isdecimal() or not int(path):
            raise DataError(f"data {source!r}: {path!r} is not a number of scenes")
    elif not root.exists():
        raise DataError(f"data {source!r}: {root} does not exist")
    return READERS[layout], root


def _part(items: Sequence[Item], split: str) -> tuple[Item, ...]:
    """Return what belongs to the groups that are held out for validation, or to the others."""
    held_out = held_out_groups({item.group for item in items})
    return tuple(item for item in items if (item.group in held_out) == (split == "validation"))


def _examples(files: Sequence[LabelledFile], source: str, split: str, faces: bool) -> DataSet:
    """Find the face in each file, unless it is a face crop; leave out what cannot be used."""
    # late: FER+ needs no detector
    from caer_ros.training.datasets.faces import FaceFinder, main_face

    examples: list[Example] = []
    unreadable: list[str] = []
    without_face: list[str] = []
    several_faces = 0
    finder = FaceFinder()
    for file in tqdm(files, desc=f"reading {source}", unit="file", leave=False, disable=None):
        boxes: tuple[Face, ...] | None = None
        if not file.known:
            unreadable.append(file.name)
            continue
        try:
            if faces:
                finder.count_frames(file.path)
            elif file.box:
                boxes = (file.box,) * finder.count_frames(file.path)
            else:
                found = finder.find(file.path)
                boxes = main_face(found)
                several_faces += max(map(len, found)) > 1
                if boxes is None:
                    without_face.append(file.name)
                    continue
        except DataError:
            unreadable.append(file.name)
            continue
        load = partial(read_frames, file.path)
        examples.append(Example(file.name, file.group, one_hot(file.emotion), load, boxes))
    finder.close()
    data = DataSet(
        source, split, tuple(examples), tuple(unreadable), tuple(without_face), several_faces
    )
    if not examples:
        raise DataError(f"no example is left to use\n{data}")
    return data
