# SPDX-License-Identifier: Apache-2.0
"""The walk-through of docs/replay.md, run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from caer_ros.demo.material import VIDEO

PAGE = Path(__file__).parents[2] / "docs" / "replay.md"


@pytest.fixture
def greeting(material, tmp_path):
    """A folder with `greeting.mp4`, the demo video's first three seconds."""
    source = cv2.VideoCapture(str(material / VIDEO))
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    video = cv2.VideoWriter(str(tmp_path / "greeting.mp4"), fourcc, 24, (640, 360))
    for _ in range(72):
        video.write(source.read()[1])
    video.release()
    return tmp_path


def test_the_walk_through_works_as_it_is_written(greeting):
    text = PAGE.read_text(encoding="utf-8")
    section = text.split("## From a video to a verdict")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    assert [language for language, _ in blocks] == [
        "bash", "bash", "yaml", "bash", "python", "bash",
    ]  # fmt: skip
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for language, block in blocks:
        if language == "bash":
            done = subprocess.run(
                ["bash", "-e", "-c", block],
                cwd=greeting,
                env={**os.environ, "PATH": programs},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, block + done.stdout + done.stderr
        else:
            name = re.match(r"# (\S+)\n", block)[1]
            (greeting / name).write_text(block)
    results = {file.name for file in (greeting / "greeting_out").iterdir()}
    table = set(re.findall(r"^\| `([\w.]+)/?` \|", section, flags=re.MULTILINE))
    assert results == table | {"junit.xml"}


def test_every_measure_is_in_the_table_and_the_other_way_round():
    from caer_ros.replay.expectations import _MEASURES

    text = PAGE.read_text(encoding="utf-8")
    section = text.split("## Expectations")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[a-z_0-9]+:.*?) \|", section, flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_0-9]+):", row)} - {"for"}
    assert named == set(_MEASURES)
