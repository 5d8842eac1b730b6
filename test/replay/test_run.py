# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from caer_ros.cli import main

TOPIC = "/camera/image_raw"


@pytest.fixture
def caer(capfd):
    """Return a function that runs `caer replay` and gives status, output and errors."""

    def run(*arguments):
        status = main(["replay", *map(str, arguments)])
        return status, *capfd.readouterr()

    return run


@pytest.fixture
def write(tmp_path):
    def _write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return _write


def test_a_bag_gives_a_folder_of_results_and_no_progress_bar_in_a_log(caer, people, tmp_path):
    status, output, errors = caer(people, "--out", tmp_path / "out")
    assert status == 0
    assert "48 processed, 0 dropped, 0 failed, 0 lost" in output
    assert "p0001: " in output
    assert f"results: {tmp_path / 'out' / 'report.html'}" in output
    assert errors == ""


def test_expectations_decide_the_status_and_are_written_for_ci(caer, people, write, tmp_path):
    held = write("held.yaml", "- {name: alone, persons: at most 1}\n")
    status, output, _ = caer(people, "--out", tmp_path / "held", "--expect", held)
    assert (status, f"held    alone: at most 1; was 0 to 1 ({held}:1)" in output) == (0, True)

    failed = write("failed.yaml", "- {persons: at most 1}\n- {persons: at least 2}\n")
    status, output, _ = caer(people, "--out", tmp_path / "failed", "--expect", failed)
    assert status == 1
    assert "FAILED  persons at least 2; was 0 from 0.0 to " in output
    assert f"({failed}:2)" in output
    root = ElementTree.parse(tmp_path / "failed" / "junit.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == ("2", "1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--expect", "bad.yaml"], "bad.yaml:2: label: 'merry' is no label"),
        (["--expect", "gone.yaml"], "gone.yaml"),
        (["--expect", "empty.yaml"], "empty.yaml: expected a list of statements"),
        (["--expect", "dropped.yaml"], "dropped.yaml:1: dropped: images are dropped with"),
        (
            ["--config", "caer.yaml"],
            "caer.yaml: unknown setting 'detector.min_scare', did you mean detector.min_score?",
        ),
        (["--config", "gone.yaml"], "cannot read"),
        (["--topic", "/no"], "no image topic /no; there are: /camera/image_raw"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--ray", "auto"], "--ray is for a folder of bags"),
    ],
)
def test_what_cannot_be_run_is_status_2_and_one_line(
    caer, record, write, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    write("bad.yaml", "- persons: at most 1\n- label: merry\n  for: at least 1 %\n")
    write("empty.yaml", "")
    write("dropped.yaml", "- dropped: at most 0\n")
    write("caer.yaml", "/**:\n  ros__parameters:\n    detector:\n      min_scare: 0.5\n")
    status, output, errors = caer(record(), "--out", "out", *options)
    assert status == 2
    assert output == ""
    assert errors.splitlines()[-1].startswith("caer: error: ")
    assert message in errors
    assert not (tmp_path / "out").exists()


def test_the_node_s_parameter_file_is_the_config(caer, record, write, tmp_path):
    config = write(
        "caer.yaml",
        "/**:\n  ros__parameters:\n    use_sim_time: true\n    detector.min_score: 0.9\n"
        "/robot/caer:\n  ros__parameters:\n    smoothing: {time_constant: 0.0}\n"
        "/other:\n  ros__parameters:\n    nonsense: 1\n",
    )
    caer(record(), "--out", tmp_path / "out", "--config", config)
    settings = json.loads((tmp_path / "out" / "summary.json").read_text())["settings"]
    assert settings["detector.min_score"] == 0.9
    assert settings["smoothing.time_constant"] == 0.0


def test_a_folder_of_bags_gets_a_folder_each_and_a_sum(caer, record, numbered, write, tmp_path):
    for name in ("one", "two"):
        record({TOPIC: [numbered(1)] * 3}, name=f"bags/{name}")
    (tmp_path / "bags" / "bad").mkdir()
    (tmp_path / "bags" / "bad" / "x.mcap").touch()
    bad = write("bad.yaml", "- persons: many\n")
    status, _, errors = caer(tmp_path / "bags", "--out", tmp_path / "out", "--expect", bad)
    assert (status, "bad.yaml:1: persons: 'many' is no bound" in errors) == (2, True)
    status, output, _ = caer(tmp_path / "bags", "--out", tmp_path / "out", "--jobs", "2")
    assert status == 2
    assert "3 bags" in output
    assert "x.mcap: empty" in output
    total = json.loads((tmp_path / "out" / "bags.json").read_text())
    assert list(total["errors"]) == [str(tmp_path / "bags" / "bad")]
    assert total["losses"] == {}
    index = (tmp_path / "out" / "index.html").read_text()
    assert f"results: {tmp_path / 'out' / 'index.html'}" in output
    for name in ("one", "two"):
        assert f'href="{name}/report.html"' in index
        assert (tmp_path / "out" / name / "report.html").is_file()


def test_a_bag_without_an_answer_is_status_2(caer, record, numbered, tmp_path):
    status, output, _ = caer(record({TOPIC: [numbered(1)] * 3}, start=0), "--out", tmp_path / "o")
    # the first stamp is 0, then 0.1 and 0.2 s
    assert (status, "2 processed, 0 dropped, 1 failed" in output) == (0, True)
    path = record({TOPIC: [numbered(1)]}, name="zero", start=0)
    status, output, _ = caer(path, "--out", tmp_path / "o")
    assert (status, "0 processed, 0 dropped, 1 failed" in output) == (2, True)


def test_names_from_outside_do_not_steer_the_terminal(caer, record, numbered, write, tmp_path):
    hostile = write("e.yaml", '- {name: "\\e[31mred", persons: at most 0}\n')
    _, output, _ = caer(
        record({TOPIC: [numbered(1)]}), "--out", tmp_path / "o", "--expect", hostile
    )
    assert "\x1b" not in output
    assert "\\x1b[31mred" in output


def test_a_bag_brings_its_own_expectations(caer, record, numbered, write, tmp_path):
    for name in ("one", "two"):
        record({TOPIC: [numbered(1)] * 3}, name=f"bags/{name}")
    (tmp_path / "bags" / "two" / "expect.yaml").write_text("- persons: at least 1\n")
    common = write("common.yaml", "- persons: at most 1\n")
    status, output, _ = caer(tmp_path / "bags", "--out", tmp_path / "out", "--expect", common)
    assert status == 1
    (failed,) = [line for line in output.splitlines() if line.startswith("FAILED")]
    assert "two/expect.yaml:1" in failed
    summary = json.loads((tmp_path / "out" / "two" / "summary.json").read_text())
    assert [verdict["held"] for verdict in summary["expectations"]] == [True, False]
