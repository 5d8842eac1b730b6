# SPDX-License-Identifier: Apache-2.0
"""Box lists: a text file of `path,label,x1,y1,x2,y2`, one face a line, as shared for CAER-S."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from caer_ros.training.datasets.classes import emotion_named
from caer_ros.training.datasets.files import LabelledFile, film_of
from caer_ros.training.examples import DataError
from caer_ros.types import Emotion, Face


def list_files(path: Path) -> list[LabelledFile]:
    """Return the faces of a box list; paths are relative to the folder of the list.

    A label is a class name or its index in `Emotion` order (which is CAER's alphabetical one). A
    first line that names the columns is skipped.

    Raises:
        DataError: naming the line that is wrong.
    """
    files: list[LabelledFile] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a box list: {error}") from error
    for number, row in enumerate(csv.reader(lines), start=1):
        where = f"{path} line {number}"
        cells = [cell.strip() for cell in row]
        if not cells or (number == 1 and cells[0].lower() in ("path", "image", "file")):
            continue
        if len(cells) != 6:
            raise DataError(f"{where} has {len(cells)} values, expected path,label,x1,y1,x2,y2")
        try:
            corners = [float(cell) for cell in cells[2:]]
        except ValueError:
            corners = [math.nan]
        if not all(map(math.isfinite, corners)):
            raise DataError(f"{where}: box {','.join(cells[2:])} is not four numbers")
        box = Face(*corners)
        if not (box.width > 0 and box.height > 0):
            raise DataError(f"{where}: box {','.join(cells[2:])} lacks x2 > x1 and y2 > y1")
        picture = path.parent / cells[0]
        files.append(
            LabelledFile(
                name=f"{cells[0]}#{number}",  # two faces of one picture are two examples
                group=film_of(picture) or cells[0],
                path=picture,
                emotion=_emotion(cells[1], where),
                box=box,
            )
        )
    if not files:
        raise DataError(f"{path} lists no face; expected lines path,label,x1,y1,x2,y2")
    return files


def _emotion(label: str, where: str) -> Emotion:
    if not label.isdecimal():
        return emotion_named(label, where)
    if int(label) >= len(Emotion):
        raise DataError(f"{where}: label {label} is above {len(Emotion) - 1}, the last class")
    return Emotion(int(label))
