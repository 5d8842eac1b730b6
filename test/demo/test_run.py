# SPDX-License-Identifier: Apache-2.0
"""The demo's graph of node, player and listener, for real, on a few seconds of bag."""

import os
import signal
import subprocess
from pathlib import Path

import cv2
import pytest

from caer_ros.cli import main
from caer_ros.demo.material import GROUP
from caer_ros.demo.run import TOPIC, perceive, summarize
from caer_ros.messages import from_message
from caer_ros.replay.make_bag import START, make_bag
from caer_ros.types import SECOND


@pytest.fixture(autouse=True)
def own_environment():
    """Give back the variables that `perceive` sets for its processes."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def group_bag(material, tmp_path):
    """Return a bag of 15 images of five people, 5 a second, with its stamps."""
    image = cv2.imread(str(material / GROUP))
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(15):
        cv2.imwrite(str(folder / f"{i}.jpg"), cv2.resize(image, (640, 480)))
    make_bag(folder, tmp_path / "bag", topic=TOPIC, fps=5)
    return tmp_path / "bag", [START + i * SECOND // 5 for i in range(15)]


def test_the_listener_hears_what_the_node_read_in_the_played_images(group_bag, capsys):
    bag, stamps = group_bag
    messages, status = perceive(bag, len(stamps))
    results = [from_message(message) for message in messages]
    heard = [result.stamp for result in results]
    assert heard == sorted(heard)
    assert set(heard) <= set(stamps)
    assert len(heard) == int(status["processed"])
    assert (results[0].width, results[0].height) == (640, 480)
    last = results[-1].readings
    assert len(last) == 5
    for reading in last:
        assert sum(reading.probabilities) == pytest.approx(1, abs=1e-3)
        assert reading.confidence == pytest.approx(reading.probabilities[reading.emotion])
    # one line per person and label, in the order of the stamps
    lines = [line for line in capsys.readouterr().out.splitlines() if "  p0" in line]
    assert {line.split()[1] for line in lines} == {r.person_id for r in last}

    timeline = {result.stamp: result.readings for result in results}
    summary = summarize(timeline, len(stamps), len(heard), "network", status)
    assert f"{len(stamps)} played, {status['received']} received" in summary
    assert "persons   5" in summary


def children_of(pid):
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True)
    return [
        int(p) for p, parent in map(str.split, listed.stdout.splitlines()) if int(parent) == pid
    ]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_behind(end, material, tmp_path, environment):
    demo = subprocess.Popen(
        [Path(environment) / "bin" / "caer", "demo", "--out", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        # emotions come, so the node works and the player plays
        if not any("p0001" in line for line in demo.stdout):
            pytest.fail("the demo ended by itself")
        children = children_of(demo.pid)
        assert len(children) == 2
        demo.send_signal(end)
        assert demo.wait() != 0
        assert "Traceback" not in demo.stdout.read()
    finally:
        demo.kill()
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_a_video_of_one_s_own_is_pointed_to_watch(capsys):
    assert main(["demo", "my.mp4"]) == 2
    assert "`caer watch my.mp4`" in capsys.readouterr().err
