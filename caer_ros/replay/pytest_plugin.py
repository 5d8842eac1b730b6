# SPDX-License-Identifier: Apache-2.0
"""The pytest fixture `caer_replay`, for the tests of a robot project.

pip registers it with pytest. Under colcon put `pytest_plugins = ["caer_ros.replay.pytest_plugin"]`
into the project's conftest.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from caer_ros.replay.session import Session


class TimelineRow(NamedTuple):
    """One person at one image, at a `time` in seconds since the first one; shares are 0 to 1."""

    time: float
    person_id: str
    label: str
    confidence: float
    face_weight: float
    context_weight: float


class Replayed:
    """A finished replay. summary: as in summary.json; folder: where all results lie."""

    def __init__(self, summary: dict[str, Any], folder: Path) -> None:
        self.summary = summary
        self.folder = folder

    def __repr__(self) -> str:
        persons = ", ".join(
            f"{name} {max(person['label_seconds'], key=person['label_seconds'].get)}"
            for name, person in self.summary["persons"].items()
            if person["label_seconds"]
        )
        return (
            f"<replay of {self.summary['bag']}: {self.summary['duration']:.1f} s, "
            f"{persons or 'nobody'}; results in {self.folder}>"
        )

    @property
    def timeline(self) -> list[TimelineRow]:
        """All rows, one for each person and image."""
        from caer_ros.replay.timeline import read_timeline

        rows = read_timeline(self.folder / "timeline.csv")
        start = self.summary["start"]
        return [TimelineRow((row.stamp - start) / 1e9, *row[1:]) for row in rows]


@pytest.fixture(scope="session")
def _caer_session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    from caer_ros.replay.session import Session

    return Session(lambda: tmp_path_factory.mktemp("replay") / "out")


@pytest.fixture
def caer_replay(request: pytest.FixtureRequest, _caer_session: Session) -> Callable[..., Replayed]:
    """Return a function that replays a bag and fails the test where an expectation does not hold.

    Its arguments: the bag; `expect`, expectations as text, or a `Path` of a file of them;
    `config`, the node's parameter file; `realtime`, whether at the recorded pace. Paths are
    relative to the folder of the test. It returns a `Replayed`. A bag is replayed once a session,
    however many tests judge it.
    """
    from caer_ros.types import CaerError

    here = request.path.parent

    def _replay(
        bag: str | Path,
        expect: str | Path | None = None,
        config: str | Path | None = None,
        realtime: bool = False,
    ) -> Replayed:
        __tracebackhide__ = True
        name = f"{request.path.name}, expect"
        try:
            if isinstance(expect, Path):
                name, expect = str(expect), (here / expect).read_text(encoding="utf-8")
            elif expect and "\n" not in expect and expect.endswith((".yaml", ".yml")):
                pytest.fail(f"expect is text; for a file write Path({expect!r})", pytrace=False)
            files = [(name, expect)] if expect is not None else []
            path = here / config if config else None
            summary, folder = _caer_session.judge(here / bag, files, path, realtime)
        except (CaerError, OSError) as error:
            pytest.fail(str(error), pytrace=False)
        failed = [verdict["text"] for verdict in summary["expectations"] if not verdict["held"]]
        if failed:
            pytest.fail("\n".join([*failed, f"report: {folder / 'report.html'}"]), pytrace=False)
        return Replayed(summary, folder)

    return _replay
