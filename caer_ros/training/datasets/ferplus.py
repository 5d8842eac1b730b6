# SPDX-License-Identifier: Apache-2.0
"""FER+: 48x48 grey face crops with ten votes each (Barsoum et al., ICMI 2016)."""

from __future__ import annotations

import csv
import zipfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from caer_ros.training.datasets.dataset import DataSet
from caer_ros.training.datasets.media import read_frames
from caer_ros.training.examples import DataError, Example
from caer_ros.types import Emotion

VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""Columns of votes, in the order of `fer2013new.csv`; the first seven are classes of ours."""

_COLUMNS = np.array([VOTES.index(n) for n in ("anger", "disgust", "fear", "happiness",
                                              "neutral", "sadness", "surprise")])  # fmt: skip

_FOLDERS = {
    "train": ("Training", "FER2013Train"),
    "validation": ("PublicTest", "FER2013Valid"),
    "test": ("PrivateTest", "FER2013Test"),
}

LABELS = "fer2013_labels.npz"
"""FER2013's own labels, beside the archives."""

_ARCHIVES = {"train": "*train*.npz", "validation": "*valid*.npz", "test": "*test*.npz"}


def read(root: Path, split: str) -> DataSet:
    """Read FER+ as its official folders with `fer2013new.csv`, or as npz files.

    An npz file holds `images` (uint8, N x 48 x 48) and `votes` (N x 10 in the order of `VOTES`);
    in a folder of them the file name tells the split (`train`, `valid`, `test`), a single file
    is used whole. Targets are the votes for the seven classes, as shares; a picture is left out
    where contempt, unknown or "no face" has more votes than the best of the seven. Where
    `fer2013_labels.npz` lies beside the archives, FER2013's own labels (what was searched for) are
    read too: int8, one array an archive, of its name, in its order; the index is `Emotion`'s.

    Raises:
        DataError: where `root` has neither layout, or not this split.
    """
    if (root / "fer2013new.csv").is_file():
        return _read_folders(root, split)
    archives = [root] if root.is_file() else sorted(root.glob(_ARCHIVES.get(split, "*.npz")))
    archives = [path for path in archives if path.name != LABELS]
    if not archives:
        raise DataError(
            f"{root} has neither fer2013new.csv beside FER2013Train, FER2013Valid and FER2013Test "
            f"nor npz files for split {split!r}"
        )
    examples: list[Example] = []
    without_label = 0
    for archive in archives:
        images, votes = _read_archive(archive)
        searched = _read_labels(archive, len(images))
        labelled = _is_labelled(votes)
        without_label += int((~labelled).sum())
        for index in np.flatnonzero(labelled):
            name = f"{archive.stem}/{index}"
            load = partial(_to_bgr, images[index])
            label = None if searched is None else Emotion(int(searched[index]))
            examples.append(Example(name, name, _target(votes[index]), load, searched=label))
    return DataSet(f"ferplus:{root}", split, tuple(examples), without_label=without_label)


def own_splits(root: Path) -> tuple[str, ...]:
    """Return the splits that are there; a single npz file makes none."""
    if (root / "fer2013new.csv").is_file():
        return tuple(s for s, (_, folder) in _FOLDERS.items() if (root / folder).is_dir())
    return tuple(split for split, pattern in _ARCHIVES.items() if any(root.glob(pattern)))


def _read_archive(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array")
        with archive:
            images, votes = archive["images"], archive["votes"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not an npz file with images and votes: {error}") from error
    if images.dtype != np.uint8 or images.ndim != 3 or votes.shape != (len(images), len(VOTES)):
        raise DataError(
            f"{path} has images {images.dtype} {images.shape} and votes {votes.shape}, "
            f"expected uint8 (N, height, width) and (N, {len(VOTES)})"
        )
    return images, votes.astype(np.float32)


def _read_labels(archive: Path, count: int) -> np.ndarray | None:
    """Return FER2013's labels of the pictures of `archive`, None where there are none."""
    path = archive.parent / LABELS
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as labels:
            found = labels[archive.stem]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} has no labels of {archive.stem}: {error}") from error
    if found.shape != (count,) or found.min() < 0 or found.max() >= len(Emotion):
        raise DataError(
            f"{path} has labels of shape {found.shape} from {found.min()} to {found.max()} for "
            f"{archive.stem}, expected {count} from 0 to {len(Emotion) - 1}"
        )
    return found


def _read_folders(root: Path, split: str) -> DataSet:
    examples: list[Example] = []
    unreadable: list[str] = []
    without_label = 0
    for own_split in own_splits(root) if split == "all" else (split,):
        usage, folder = _FOLDERS[own_split]
        if not (root / folder).is_dir():
            raise DataError(f"{root} has no folder {folder}, which fer2013new.csv speaks of")
        for name, votes in _read_votes(root / "fer2013new.csv", usage):
            if not _is_labelled(votes):
                without_label += 1
                continue
            path = root / folder / name
            try:
                read_frames(path)
            except DataError:
                unreadable.append(f"{folder}/{name}")
                continue
            load = partial(read_frames, path)
            examples.append(Example(f"{folder}/{name}", f"{folder}/{name}", _target(votes), load))
    return DataSet(
        f"ferplus:{root}", split, tuple(examples), tuple(unreadable), without_label=without_label
    )


def _read_votes(path: Path, usage: str) -> list[tuple[str, np.ndarray]]:
    """Return (picture name, votes) of the rows of one usage; FER+ blanks the names it dropped."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        try:
            missing = {"Usage", "Image name", *VOTES} - set(rows.fieldnames or ())
            if missing:
                raise DataError(f"{path} lacks the column {min(missing)!r}")
            return [
                (row["Image name"], np.array([float(row[vote]) for vote in VOTES], np.float32))
                for row in rows
                if row["Usage"] == usage and row["Image name"]
            ]
        except (ValueError, TypeError) as error:  # a row cut short has None
            raise DataError(
                f"{path} line {rows.line_num}: votes must be numbers: {error}"
            ) from error


def _is_labelled(votes: np.ndarray) -> np.ndarray:
    """Tell, for votes (..., 10), whether one of the seven classes has the most."""
    return votes[..., :7].max(-1) >= np.maximum(votes[..., 7:].max(-1), 1)


def _target(votes: np.ndarray) -> np.ndarray:
    target = votes[_COLUMNS]
    return target / target.sum()


def _to_bgr(image: np.ndarray) -> list[np.ndarray]:
    return [cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)]
