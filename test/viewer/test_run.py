# SPDX-License-Identifier: Apache-2.0
"""`caer watch` as a user meets it."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import pytest

from caer_ros.cli import main
from caer_ros.demo.material import GROUP
from caer_ros.replay.make_bag import make_bag
from caer_ros.replay.timeline import read_timeline
from caer_ros.viewer.server import LivePage

RESULTS = {"report.html", "summary.json", "timeline.csv", "timeline.png"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run in an empty folder; the verb takes signals for itself."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.chdir(tmp_path)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def written(folder):
    return {path.name for path in Path(folder).iterdir() if path.name[0] != "."}


def test_a_video_is_read_and_its_changes_printed_and_nothing_written(film, capsys):
    assert main(["watch", str(film)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^ +0\.\d+s  p0001   [a-z]+ +[01]\.\d\d  1\.00   0\.00$", printed, re.M)
    assert "images: 36 processed, 0 dropped" in printed
    assert written(".") == set()


def test_a_folder_of_results_without_pictures(film, capsys):
    assert main(["watch", str(film), "--out", "out"]) == 0
    assert written("out") == RESULTS
    rows = list(read_timeline(Path("out/timeline.csv")))
    assert {row.person_id for row in rows} == {"p0001"}
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["images"]["processed"] == 36
    assert summary["weights"]["name"] == "caer_net_s"
    assert "data:image" not in Path("out/report.html").read_text()
    assert "Look at out/report.html" in capsys.readouterr().out


def test_pictures_are_written_where_they_are_asked_for(film, browser):
    assert main(["watch", str(film), "--out", "out", "--with-images"]) == 0
    assert written("out") == RESULTS | {"annotated.webm"}
    video = cv2.VideoCapture("out/annotated.webm")
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 640
    assert "data:image" in Path("out/report.html").read_text()
    browser.open(Path("out/report.html").absolute().as_uri())
    browser.wait("document.body?.innerText.includes('p0001')")
    assert browser.errors == []


def test_everybody_in_a_picture_is_read_at_once(material, capsys):
    assert main(["watch", str(material / GROUP), "--out", "out", "--with-images"]) == 0
    printed = capsys.readouterr().out
    assert len(re.findall(r"^ +0\.000s  p000\d", printed, re.M)) == 5
    assert written("out") == RESULTS - {"timeline.png"} | {"annotated.png"}
    assert cv2.imread("out/annotated.png").shape == (667, 1000, 3)


def test_a_bag_and_a_folder_of_pictures_are_read(film, capsys):
    Path("pictures").mkdir()
    video = cv2.VideoCapture(str(film))
    for i in range(5):
        cv2.imwrite(f"pictures/{i}.png", video.read()[1])
    make_bag(Path("pictures"), Path("bag"))
    for source in ("pictures", "bag"):
        assert main(["watch", source]) == 0
        assert "images: 5 processed" in capsys.readouterr().out


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_camera_is_read_until_ctrl_c_and_all_is_kept(stream, end):
    command = [sys.executable, "-m", "caer_ros.cli", "watch", stream.address, "--out", "out"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "p0001" in line:
                process.send_signal(end)
                if end == signal.SIGHUP:  # as shells and kernel do
                    process.send_signal(end)
                break
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "Look at out/report.html" in rest
    assert written("out") == RESULTS
    assert {row.person_id for row in read_timeline(Path("out/timeline.csv"))} == {"p0001"}


@pytest.mark.timeout(120)
def test_ctrl_c_ends_what_stays_on_the_page_whichever_thread_gets_it(film, monkeypatch, capsys):
    def interrupt():
        time.sleep(1)  # by then the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    whole = LivePage.end

    def end(page):
        whole(page)
        threading.Thread(target=interrupt).start()

    monkeypatch.setattr(LivePage, "end", end)
    assert main(["watch", str(film), "--serve", "0"]) == 0
    assert "images: 36 processed" in capsys.readouterr().out


def test_what_a_killed_process_had_written_can_be_found(stream):
    command = [sys.executable, "-m", "caer_ros.cli", "watch", stream.address, "--out", "out"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not any(b"p0001" in f.read_bytes() for f in Path().glob(".out.*/out/.timeline*")):
            assert time.monotonic() < end
            time.sleep(0.1)
        process.kill()
    [rows] = Path().glob(".out.*/out/.timeline.csv.*")
    assert "p0001" in rows.read_text()


def test_ctrl_c_ends_the_wait_for_a_camera_too(stream):
    command = [sys.executable, "-m", "caer_ros.cli", "watch", stream.address, "--out", "out"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "p0001" in line:
                stream.stop()
            if "waiting for it" in line:
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
    assert process.returncode == 0
    assert written("out") == RESULTS


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["none.mp4"], "none.mp4 does not exist"),
        (["film.mp4", "--fps", "0"], "--fps is 0.0"),
        (["film.mp4", "--with-images"], "--out"),
        (["film.mp4", "--weights", "none"], "weights 'none'"),
        (["film.mp4", "--out", "taken"], "taken holds files"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments, reason, film, capsys):
    shutil.copy(film, "film.mp4")
    Path("taken").mkdir()
    Path("taken/letter.txt").write_text("dear")
    assert main(["watch", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("caer: error: ")
    assert reason in error[-1]
    assert written("taken") == {"letter.txt"}


def test_settings_come_from_the_node_s_file_and_weights_by_name(film, capsys):
    Path("caer.yaml").write_text("caer:\n  ros__parameters:\n    detector.min_size: 300\n")
    assert main(["watch", str(film), "--config", "caer.yaml", "--weights", "caer_net"]) == 0
    assert "p0001" not in capsys.readouterr().out


def test_replay_points_to_watch_for_a_video(film, capsys):
    assert main(["replay", str(film)]) == 2
    assert f"`caer watch {film}`" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["here", "127.0.0.1:", "70000", "::1:-1"])
def test_an_address_that_is_none_is_said(address, film, capsys):
    assert main(["watch", str(film), "--serve", address]) == 2
    assert f"--serve is '{address}', expected a port" in capsys.readouterr().err
