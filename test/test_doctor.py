# SPDX-License-Identifier: Apache-2.0
import json
import sys

import pytest

from caer_ros import doctor
from caer_ros.cli import main
from caer_ros.engines import select
from caer_ros.perception.detector import DetectorError


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for module in (doctor, select):
        monkeypatch.setattr(module, "has_nvidia_gpu", lambda: False)


def findings(capsys):
    status = main(["doctor", "--json"])
    return status, {found["name"]: found for found in json.loads(capsys.readouterr().out)}


def test_it_says_which_engine_is_chosen_and_why(capsys):
    _, found = findings(capsys)
    assert found["auto chooses"]["value"] == "openvino (there is no NVIDIA GPU)"
    assert "on CPU" in found["openvino"]["value"]
    assert found["caer_net_s"]["value"].startswith("caer_net_s, one frame")
    assert found["caer_net"]["value"].startswith("caer_net, 16 frames")


def test_the_report_is_for_people_too(capsys):
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "machine"
    assert any(line.split()[:2] == ["processor", ""] or "processor" in line for line in lines)
    assert any("auto chooses" in line and "openvino" in line for line in lines)


def test_what_the_node_needs_and_is_missing_is_marked_and_fails(capsys, monkeypatch):
    def missing():
        raise DetectorError("the face detector's model is not installed")

    monkeypatch.setattr(doctor, "find_blazeface", missing)
    status, found = findings(capsys)
    assert status == 1
    assert not found["face detector"]["ok"]
    assert main(["doctor"]) == 1
    assert "! face detector" in capsys.readouterr().out


def test_a_ros_of_another_python_is_not_called_importable(capsys, monkeypatch, tmp_path):
    (tmp_path / "rclpy.py").write_text("raise ImportError('built for Python 3.12')")
    monkeypatch.delitem(sys.modules, "rclpy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    status, found = findings(capsys)
    assert status == 1
    assert found["rclpy"]["value"].startswith("not importable (built for Python 3.12)")


def test_a_broken_engine_is_a_reason_of_the_choice(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "caer_ros.engines.openvino", None)
    _, found = findings(capsys)
    assert not found["openvino"]["ok"]
    assert found["auto chooses"]["value"] == (
        "torch (there is no NVIDIA GPU, openvino cannot run)"
    )


def test_a_ros_of_wheels_has_no_need_of_ros_distro(capsys, monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    value = findings(capsys)[1]["distribution"]["value"]
    assert value in ("kilted, of wheels", "jazzy, of wheels", "no ROS is sourced or installed")
    monkeypatch.setattr(doctor, "distributions", list)
    assert findings(capsys)[1]["distribution"]["value"] == "no ROS is sourced or installed"
    monkeypatch.setenv("ROS_DISTRO", "humble")
    assert findings(capsys)[1]["distribution"]["value"] == "humble"
