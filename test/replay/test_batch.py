# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from caer_ros.replay.batch import find_bags, replay_all, sum_up
from caer_ros.replay.job import Job, ReplayError, replay

TOPIC = "/camera/image_raw"


def names(path):
    return [bag.name for bag in find_bags(path)]


def test_bags_in_a_folder_are_found_in_natural_order(record, tmp_path):
    for name in ("run_10", "run_9"):
        record(name=name)
    (tmp_path / "run_11").mkdir()
    (tmp_path / "run_11" / "run_11_0.mcap").touch()  # metadata.yaml is lost
    (tmp_path / "old.bag").touch()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").touch()
    assert names(tmp_path) == ["old.bag", "run_9", "run_10", "run_11"]


def test_a_bag_is_not_taken_for_a_folder_of_bags(record):
    bag = record()
    assert names(bag) == []
    (bag / "metadata.yaml").unlink()
    assert names(bag) == names(bag / "bag.mcap") == []


@pytest.fixture
def jobs(record, numbered, tmp_path):
    """Three bags to replay, of which the second is broken."""
    for name in ("a", "c"):
        record({TOPIC: [numbered(i) for i in range(5)]}, name=f"bags/{name}")
    (tmp_path / "bags" / "b").mkdir()
    (tmp_path / "bags" / "b" / "b.mcap").write_bytes(b"no bag")
    return [Job(bag, tmp_path / "out" / bag.name) for bag in find_bags(tmp_path / "bags")]


def test_processes_give_what_one_gives_and_a_broken_bag_stops_nobody(jobs, tmp_path):
    first, broken, last = replay_all(jobs, 2, None)
    assert first["complete"] and last["complete"]
    assert "b.mcap is damaged" in broken["error"]
    alone = Job(jobs[0].bag, tmp_path / "alone")
    replay(alone, show_progress=False)
    for file in ("timeline.csv", "bag/bag.mcap"):
        assert (jobs[0].out / file).read_bytes() == (alone.out / file).read_bytes()
    assert not jobs[1].out.exists()

    # what is done is not done again, what was not is
    before = jobs[0].out.stat().st_ino
    (jobs[2].out / "summary.json").unlink()
    (jobs[2].out / "timeline.csv").unlink()
    (jobs[2].out / "report.html").unlink()
    (jobs[2].out / "bag" / "bag.mcap").unlink()
    (jobs[2].out / "bag" / "metadata.yaml").unlink()
    (jobs[2].out / "bag").rmdir()
    assert replay_all(jobs, 1, None)[0] == first
    assert jobs[0].out.stat().st_ino == before
    assert json.loads((jobs[2].out / "summary.json").read_text())["complete"]


def test_a_bag_whose_process_dies_stops_nobody(jobs, tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text(
        "import os\n"
        "from caer_ros.replay.job import Job\n"
        "class Deadly(Job):\n"
        "    def done(self):\n"
        "        os._exit(9)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    deadly = importlib.import_module("deadly").Deadly(tmp_path / "deadly", tmp_path / "out" / "d")

    dead, first, last = replay_all([deadly, jobs[0], jobs[2]], 2, None)

    assert "deadly: its process died" in dead["error"]
    assert first["complete"] and last["complete"]


def test_after_ctrl_c_no_queued_bag_is_begun(jobs, tmp_path, monkeypatch):
    (tmp_path / "interrupted.py").write_text(
        "from caer_ros.replay.job import Job\n"
        "class Interrupted(Job):\n"
        "    def done(self):\n"
        "        return {'complete': False}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    interrupted = importlib.import_module("interrupted").Interrupted(jobs[1].bag, jobs[1].out)

    first, *others = replay_all([interrupted, jobs[0], jobs[2]], 1, None)

    assert not first["complete"]
    for job, summary in zip((jobs[0], jobs[2]), others, strict=True):
        assert summary["error"] == f"{job.bag}: stopped before it was begun"
        assert not job.out.exists()


def test_the_installed_command_starts_its_processes(record, numbered, environment, tmp_path):
    for name in ("a", "b"):
        record({TOPIC: [numbered(i) for i in range(3)]}, name=f"bags/{name}")
    command = [Path(environment) / "bin" / "caer", "replay", tmp_path / "bags", "--jobs", "2"]
    done = subprocess.run(
        [*command, "--out", tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "b" / "timeline.csv").is_file()


def test_all_bags_are_summed_up():
    def summary(bag, duration, speed, held, lost=0, **labels):
        images = {"processed": 9, "dropped": 0, "lost": lost, "failed": {"step": lost}}
        return {
            "bag": bag,
            "complete": bag != "cut",
            "covered": duration,
            "images": images,
            "times_real_time": speed,
            "latency_ms": {"p95": 10 / speed},
            "label_seconds": labels,
            "persons": {"p0001": {}},
            "expectations": [{"line": 1, "name": "n", "held": held, "measured": "m"}],
        }

    total = sum_up([
        summary("slow", 1800, 2.0, True, sad=60, happy=600),
        {"bag": "bad", "error": "bad is empty"},
        summary("cut", 1800, 9.0, False, lost=4, sad=120),
    ])  # fmt: skip
    assert total["bags"] == 3
    assert total["hours"] == 1
    assert total["person_minutes_per_hour"] == {"happy": 10, "sad": 3}
    assert total["errors"] == {"bad": "bad is empty"}
    assert total["incomplete"] == ["cut"]
    assert {bag: images["lost"] for bag, images in total["losses"].items()} == {"cut": 4}
    assert [bag["bag"] for bag in total["slowest"]] == ["slow", "cut"]
    assert [verdict["bag"] for verdict in total["failed_expectations"]] == ["cut"]


def test_nothing_but_errors_can_be_summed_up():
    assert sum_up([{"bag": "x", "error": "no"}])["person_minutes_per_hour"] == {}


def test_without_ray_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ReplayError, match="pip install ray"):
        replay_all([Job(Path("x"), Path("y"))], 1, "auto")


def test_ray_gives_what_processes_give_and_reports_to_nobody(jobs, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    here = replay_all([jobs[0]], 1, None)
    there = replay_all([Job(jobs[0].bag, tmp_path / "ray")], 1, "local")
    assert here[0]["persons"] == there[0]["persons"]
    timeline = (jobs[0].out / "timeline.csv").read_bytes()
    assert (tmp_path / "ray" / "timeline.csv").read_bytes() == timeline
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_ray_does_the_bag_of_a_killed_worker_again(jobs, tmp_path, monkeypatch):
    (tmp_path / "killed.py").write_text(
        "import os, signal\n"
        "from caer_ros.replay.job import Job\n"
        "class Killed(Job):\n"
        "    def done(self):\n"
        "        mark = self.out.with_suffix('.killed')\n"
        "        if not mark.exists():\n"
        "            mark.parent.mkdir(parents=True, exist_ok=True)\n"
        "            mark.touch()\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().done()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    killed = importlib.import_module("killed").Killed(jobs[0].bag, tmp_path / "out" / "killed")

    summaries = replay_all([killed, jobs[2]], 1, "local")

    assert (tmp_path / "out" / "killed.killed").exists()
    assert all(summary["complete"] for summary in summaries)
    assert (killed.out / "timeline.csv").is_file()
