# SPDX-License-Identifier: Apache-2.0
"""Every field of every message says what it holds: in which unit, and in which range."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "msg"

NUMBER = r"-?\d+ to |\b\d+ or more|\b0 where|One for each"
EXPLAINED = {
    r"u?int\d+|float\d+": NUMBER,
    "bool": "True.*False|False.*True",
    "string": r"e\.g\. |one of|words of",
    "builtin_interfaces/Time": "stamp",
    "builtin_interfaces/Duration": r"\d s\b",
    "std_msgs/Header": "stamp",
    "sensor_msgs/RegionOfInterest": "pixels",
    "geometry_msgs/Vector3": r"Unit vector.* -1 to 1",
    "Emotion": NUMBER,
}
"""What the comment above a field has to match, by the field's type."""


def fields(text):
    """Yield (type, name, comment) of each field; neighbours without a blank line share one."""
    for block in text.split("\n\n"):
        lines = block.splitlines()
        comment = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
        for line in lines:
            if found := re.match(r"([\w/]+)(?:\[\d*\])? (\w+)$", line):
                yield found[1], found[2], comment


ALL = [
    pytest.param(kind, comment, id=f"{path.stem}.{name}")
    for path in sorted(FOLDER.glob("*.msg"))
    for kind, name, comment in fields(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("kind", "comment"), ALL)
def test_a_field_says_its_unit_and_range(kind, comment):
    (pattern,) = [p for known, p in EXPLAINED.items() if re.fullmatch(known, kind)]
    assert re.search(pattern, comment), f"{comment!r} lacks {pattern!r}"


def test_all_fields_are_looked_at():
    from caer_ros import msg

    classes = [getattr(msg, path.stem) for path in FOLDER.glob("*.msg")]
    assert len(ALL) == sum(len(c.get_fields_and_field_types()) for c in classes)
