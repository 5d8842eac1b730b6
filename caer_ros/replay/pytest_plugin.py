# SPDX-License-Identifier: Apache-2.0
"""The pytest fixture `caer_replay`, for the tests of a robot project.

pip registers it with pytest. Under colcon put `pytest_plugins = ["caer_ros.replay.pytest_plugin"]`
into the project's conftest.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Replayed:
    """A finished replay. summary: as in summary.json; folder: where all results lie."""

    def __init__(self, summary: dict[str, Any], folder: Path) -> None:
        self.summary = summary
        self.folder = folder

    @property
    def timeline(self) -> list[Any]:
        """All rows (`caer_ros.replay.timeline.Row`), one for each person and image."""
        from caer_ros.replay.timeline import read_timeline

        return list(read_timeline(self.folder / "timeline.csv"))


@pytest.fixture
def caer_replay(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Replayed]:
    """Return a function that replays a bag and fails the test where an expectation does not hold.

    Its arguments: the bag; `expect`, expectations as text, or a `Path` of a file of them;
    `config`, the node's parameter file. Paths are relative to the folder of the test. It returns
    a `Replayed`.
    """
    from caer_ros.node_settings import load_settings
    from caer_ros.replay.job import Job, replay

    here = request.path.parent

    def _replay(
        bag: str | Path, expect: str | Path | None = None, config: str | Path | None = None
    ) -> Replayed:
        source = f"{request.path.name}, expect"
        if isinstance(expect, Path):
            source, expect = str(expect), (here / expect).read_text(encoding="utf-8")
        out = tmp_path_factory.mktemp("replay") / "out"
        settings = load_settings(here / config if config else None)
        summary = replay(
            Job(here / bag, out, settings, expectations=expect, source=source),
            show_progress=False,
        )
        failed = [verdict["text"] for verdict in summary["expectations"] if not verdict["held"]]
        if failed:
            pytest.fail("\n".join([*failed, f"report: {out / 'report.html'}"]), pytrace=False)
        return Replayed(summary, out)

    return _replay
