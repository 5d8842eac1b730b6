# SPDX-License-Identifier: Apache-2.0
"""Scene tables: a CSV file that names pictures of people in their surroundings.

One line a picture, the columns by name in the first line, others are ignored:

    file            its path, relative to the table, or its name in the archive
    archive         a tar file, relative to the table; empty or no column: pictures lie unpacked
    label           class name; a line without one is left out
    source          collections that it comes from, e.g. `3` or `3+17`
    group           pictures that resemble each other; no column: the source
    x1,y1,x2,y2     the box of the face in pixels, all four empty where there is none to see
    split           train, validation or test; no column: a fifth of the sources becomes
                    validation, pictures of both kinds of sources are left out

A collection rarely has all classes, so what a picture teaches is which of the classes of its own
collections it shows (`Example.classes`). Archives are read where they lie.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from caer_ros.images import ImageError, decode
from caer_ros.training.datasets.classes import emotion_named
from caer_ros.training.datasets.dataset import DataSet, held_out_groups
from caer_ros.training.examples import DataError, Example, one_hot
from caer_ros.types import Emotion, Face

BOX = ("x1", "y1", "x2", "y2")
REQUIRED = ("file", "label", *BOX)
SPLITS = ("train", "validation", "test")
NO_FACE = Face(0.0, 0.0, 0.0, 0.0, score=0.0)


@dataclass
class Encoded:
    """A picture's file, as `decode` takes it."""

    data: bytes
    format: str = "picture"


@dataclass(frozen=True)
class Row:
    """A labelled line of a table."""

    name: str
    archive: str
    file: str
    emotion: Emotion
    sources: tuple[str, ...]
    group: str
    face: Face
    split: str


def read(table: Path, split: str) -> DataSet:
    """Read the labelled pictures of one split, with a face or without.

    A picture whose archive lacks it is named as unreadable.

    Raises:
        DataError: naming table, line and column where something is missing or wrong.
    """
    rows = read_rows(table)
    if split != "all" and not any(row.split for row in rows):
        rows = _held_out(table, rows)
    classes: dict[str, set[Emotion]] = defaultdict(set)
    for row in rows:
        for source in row.sources:
            classes[source].add(row.emotion)
    members = {
        name: _members(table.parent / name) for name in {row.archive for row in rows} if name
    }
    examples: list[Example] = []
    unreadable: list[str] = []
    for row in rows:
        if split not in ("all", row.split):
            continue
        path = table.parent / (row.archive or row.file)
        offset, size = 0, -1
        if row.archive:
            if row.file not in members[row.archive]:
                unreadable.append(row.name)
                continue
            offset, size = members[row.archive][row.file]
        elif not path.is_file():
            unreadable.append(row.name)
            continue
        taught = frozenset(e for source in row.sources for e in classes[source])
        examples.append(
            Example(
                row.name,
                row.group,
                one_hot(row.emotion),
                partial(_load, path, offset, size, row.name),
                (row.face,),
                classes=taught or frozenset(Emotion),
            )
        )
    return DataSet(f"scenes:{table}", split, tuple(examples), tuple(unreadable))


def own_splits(table: Path) -> tuple[str, ...]:
    """Return the splits that the table names."""
    named = {row.split for row in read_rows(table)}
    return tuple(split for split in SPLITS if split in named) or ("train", "validation")


def read_rows(table: Path) -> list[Row]:
    """Return the labelled lines of a table.

    Raises:
        DataError: naming the line and the column that is wrong.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for column in REQUIRED:
                if column not in (reader.fieldnames or ()):
                    raise DataError(f"{table} lacks the column {column!r}")
            rows = [_row(line, f"{table} line {reader.line_num}") for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a scene table: {error}") from error
    labelled = [row for row in rows if row is not None]
    if not labelled:
        raise DataError(f"{table} has no line with a label")
    return labelled


def _held_out(table: Path, rows: Sequence[Row]) -> list[Row]:
    """Split a table by its sources, for a reader recognises a collection by its pictures."""
    if any(not row.sources for row in rows):
        raise DataError(
            f"{table} has lines without the column 'source' and no column 'split': whole sources "
            "must be held out for validation; name them, or read all of it"
        )
    held_out = held_out_groups({source for row in rows for source in row.sources})
    split_of = {frozenset({True}): "validation", frozenset({False}): "train"}
    kinds = [frozenset(source in held_out for source in row.sources) for row in rows]
    return [
        dataclasses.replace(row, split=split_of[kind])
        for row, kind in zip(rows, kinds, strict=True)
        if kind in split_of
    ]


def _row(line: dict[str, str | None], where: str) -> Row | None:
    cells = {key: (value or "").strip() for key, value in line.items() if key}
    if not cells["label"]:
        return None
    if not cells["file"]:
        raise DataError(f"{where}: column 'file' is empty")
    face = NO_FACE
    if any(cells[column] for column in BOX):
        try:
            corners = [float(cells[column]) for column in BOX]
        except ValueError:
            corners = [math.nan]
        if not all(map(math.isfinite, corners)):
            found = ",".join(cells[column] for column in BOX)
            raise DataError(f"{where}: columns x1,y1,x2,y2 are {found}, expected four numbers")
        face = Face(*corners)
        if not (face.width > 0 and face.height > 0):
            raise DataError(f"{where}: columns x1,y1,x2,y2 lack x2 > x1 and y2 > y1")
    split = cells.get("split", "")
    if split and split not in SPLITS:
        raise DataError(f"{where}: column 'split' is {split!r}, expected {', '.join(SPLITS)}")
    archive, source = cells.get("archive", ""), cells.get("source", "")
    return Row(
        name=f"{archive}/{cells['file']}" if archive else cells["file"],
        archive=archive,
        file=cells["file"],
        emotion=emotion_named(cells["label"], f"{where}: column 'label'"),
        sources=tuple(part for part in source.split("+") if part),
        group=cells.get("group") or source,
        face=face,
        split=split,
    )


def _members(path: Path) -> dict[str, tuple[int, int]]:
    """Return where each file of a tar archive lies in it, and its length."""
    try:
        with tarfile.open(path, "r:") as archive:
            return {m.name: (m.offset_data, m.size) for m in archive if m.isfile()}
    except (OSError, tarfile.TarError) as error:
        raise DataError(
            f"column 'archive': {path} cannot be read as a tar file: {error}"
        ) from error


def _load(path: Path, offset: int, size: int, name: str) -> list[np.ndarray]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return [decode(Encoded(file.read(size)), file=True)]
    except (OSError, ImageError) as error:
        raise DataError(f"{name} cannot be read: {error}") from error
