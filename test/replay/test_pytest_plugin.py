# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

PLUGIN = "caer_ros.replay.pytest_plugin"


def test_pip_registers_the_fixture_with_pytest(environment):
    if environment != sys.prefix:
        pytest.skip("colcon installs no entry points: a conftest.py names the plugin")
    assert PLUGIN in [entry.value for entry in entry_points(group="pytest11")]


@pytest.fixture
def run_tests(people, tmp_path):
    """Return a function that runs pytest on a robot project's test file."""
    (tmp_path / "conftest.py").write_text(f'pytest_plugins = ["{PLUGIN}"]\n')
    (tmp_path / "greeting").symlink_to(people)

    def run(text):
        (tmp_path / "test_greeting.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    return run


def test_a_robot_project_judges_a_bag_by_expectations_and_by_its_own_code(run_tests, tmp_path):
    (tmp_path / "alone.yaml").write_text("- persons: at most 1\n")
    done = run_tests("""
from pathlib import Path

def test_greeting(caer_replay):
    replayed = caer_replay("greeting", expect="- persons: at most 1\\n")
    assert {row.person_id for row in replayed.timeline} == {"p0001"}
    assert replayed.summary["images"]["processed"] == 48
    assert (replayed.folder / "report.html").is_file()

def test_file(caer_replay):
    caer_replay("greeting", expect=Path("alone.yaml"))
""")
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_what_does_not_hold_fails_the_test_with_what_was_measured(run_tests, tmp_path):
    (tmp_path / "caer.yaml").write_text(
        "/**:\n  ros__parameters:\n    detector.min_score: 0.99\n    smoothing.hold: 1.0\n"
    )
    done = run_tests("""
def test_crowd(caer_replay):
    caer_replay("greeting", expect="- {name: a crowd, persons: at least 2}", config="caer.yaml")

def test_typo(caer_replay):
    caer_replay("greeting", expect="- {person: at least 2}")
""")
    assert "2 failed" in done.stdout, done.stdout + done.stderr
    assert "a crowd: at least 2; was 0 from" in done.stdout
    assert "report.html" in done.stdout
    assert "test_greeting.py, expect:1: expected exactly one of label" in done.stdout
    assert "caer_ros/replay" not in done.stdout  # nobody wants our traceback


def test_a_bag_is_replayed_once_and_judged_often(run_tests):
    done = run_tests("""
import pytest
import caer_ros.replay.session as session

replays = []
replay = session.replay
session.replay = lambda *a, **k: replays.append(a) or replay(*a, **k)

def test_one(caer_replay):
    replayed = caer_replay("greeting", expect="- persons: at most 1")
    assert "p0001" in repr(replayed) and "2.0 s" in repr(replayed)
    times = [row.time for row in replayed.timeline]
    assert 0 < times[0] < 1 and times[-1] == pytest.approx(47 / 24)

def test_two(caer_replay):
    first = caer_replay("greeting", expect="- seen: at least 10 %")
    second = caer_replay("greeting")
    assert [v["held"] for v in first.summary["expectations"]] == [True]
    assert second.summary["expectations"] == []
    assert "seen at least 10 %" in (first.folder / "report.html").read_text()
    assert first.timeline == second.timeline

def test_path(caer_replay):
    with pytest.raises(pytest.fail.Exception, match=r"for a file write Path\\('alone.yaml'\\)"):
        caer_replay("greeting", expect="alone.yaml")

def test_realtime(caer_replay):
    caer_replay("greeting", expect="- dropped: at most 48", realtime=True)
    assert len(replays) == 2
""")
    assert "4 passed" in done.stdout, done.stdout + done.stderr
