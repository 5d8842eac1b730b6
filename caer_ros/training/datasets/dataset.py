# SPDX-License-Identifier: Apache-2.0
"""What a reader returns: examples, and an account of what was left out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from caer_ros.network.spec import CLASSES
from caer_ros.training.examples import DataError, Example
from caer_ros.types import Emotion

HELD_OUT = 0.2
"""Share of the groups that become validation where a data set has no such split."""


def held_out_groups(groups: Collection[str]) -> set[str]:
    """Choose the groups that become validation, by a hash of their names.

    Raises:
        DataError: where there is one group only.
    """
    if len(groups) < 2:
        raise DataError(
            f"all data come from {next(iter(groups))}: nothing can be held out for validation"
        )
    order = sorted(groups, key=lambda name: sha256(name.encode()).digest())
    return set(order[: max(1, round(HELD_OUT * len(groups)))])


@dataclass(frozen=True)
class DataSet:
    """The examples of one source and split.

    unreadable, without_face: names of what was skipped for that reason.
    several_faces: used examples in which more than one face was found.
    without_label: skipped because most votes went to none of the seven classes (FER+).
    """

    source: str
    split: str
    examples: tuple[Example, ...]
    unreadable: tuple[str, ...] = ()
    without_face: tuple[str, ...] = ()
    several_faces: int = 0
    without_label: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many examples have each class as their label."""
        labels = [int(example.label) for example in self.examples]
        found = np.bincount(labels, minlength=len(Emotion))
        return dict(zip(CLASSES, found.tolist(), strict=True))

    def report(self) -> dict[str, Any]:
        """Return the account for a JSON report; what was skipped is named."""
        return {
            "source": self.source,
            "split": self.split,
            "examples": len(self.examples),
            "groups": len({example.group for example in self.examples}),
            "classes": self.counts,
            "several_faces": self.several_faces,
            "without_face": list(self.without_face),
            "unreadable": list(self.unreadable),
            "without_label": self.without_label,
        }

    def __str__(self) -> str:
        """Return the account in a few lines for a person."""
        groups = len({example.group for example in self.examples})
        classes = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        lines = [
            f"{self.source} ({self.split}): {len(self.examples)} examples in {groups} groups",
            f"  {classes}",
        ]
        if self.several_faces:
            lines.append(f"  {self.several_faces} with several faces: the largest one was taken")
        if self.without_label:
            lines.append(f"  {self.without_label} left out: most votes for none of the classes")
        for names, why in ((self.without_face, "no face found"), (self.unreadable, "unreadable")):
            if names:
                shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
                lines.append(f"  {len(names)} left out, {why}: {shown}")
        return "\n".join(lines)
