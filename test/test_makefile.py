# SPDX-License-Identifier: Apache-2.0
"""`make` on machines that lack something: it stops with what to do."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECK = ROOT / "scripts" / "check_machine.sh"


@pytest.fixture
def machine(tmp_path):
    """Return a function that checks a machine with just these programs (shell scripts)."""

    def check(distribution="kilted", **programs):
        for name, script in programs.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        result = subprocess.run(
            ["/bin/sh", CHECK, "python", distribution],
            cwd=CHECK.parents[1],
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        return result.returncode, result.stderr

    return check


PYTHON = 'case "$2" in *version*) echo 3.12 ;; esac'
TOOLS = {"gcc": "", "g++": "", "cmake": ""}


def test_a_machine_with_everything_passes(machine):
    assert machine(python=PYTHON, **TOOLS) == (0, "")


def test_missing_tools_are_named_with_the_command_that_installs_them(machine):
    status, error = machine(python=PYTHON, gcc="")
    assert status == 1
    assert "missing: g++ cmake; sudo apt install" in error


def test_no_python_at_all(machine):
    status, error = machine(**TOOLS)
    assert status == 1
    assert "there is no 'python'" in error


@pytest.mark.parametrize("version", ["3.9", "3.14", "2.7"])
def test_a_python_without_ros_wheels_is_refused(machine, version):
    status, error = machine(python=f"echo {version}", **TOOLS)
    assert status == 1
    assert f"is Python {version}" in error
    assert "make PYTHON=" in error


def test_a_python_that_cannot_make_environments(machine):
    status, error = machine(python=f'{PYTHON}; case "$2" in *venv*) exit 1 ;; esac', **TOOLS)
    assert status == 1
    assert "sudo apt install python3.12-venv" in error


def test_a_python_without_headers(machine):
    status, error = machine(python=f'{PYTHON}; case "$2" in *Python.h*) exit 1 ;; esac', **TOOLS)
    assert status == 1
    assert "sudo apt install python3.12-dev" in error


def test_a_distribution_that_pypi_has_not(machine):
    status, error = machine(distribution="humble", python=PYTHON, **TOOLS)
    assert status == 1
    assert "no ROS 2 'humble'" in error
    assert "make ROS_DISTRO=kilted" in error
    assert machine(distribution="jazzy", python=PYTHON, **TOOLS) == (0, "")


def test_make_stops_at_a_distribution_that_pypi_has_not():
    made = subprocess.run(
        ["make", "ROS_DISTRO=humble", "setup"], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode == 2
    assert "no ROS 2 'humble'" in made.stderr
    assert not (ROOT / ".venv-humble").exists()


def test_each_distribution_has_an_environment_of_its_own():
    def environment(distribution):
        command = ["make", "--dry-run", f"ROS_DISTRO={distribution}", "test"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout

    assert ".venv/bin/pytest" in environment("kilted")
    assert ".venv-jazzy/bin/pytest" in environment("jazzy")


LOCKED = ["apt", "base", "benchmarks", "dev", "gpu", "int8", "models", "ray", "test", "torch"]
LOCKED += ["torch-cpu", "train", "ros-jazzy", "ros-kilted"]
BY_HAND = {"models", "torch-cpu"}


def requirements(name):
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", "")
    return [line for line in text.splitlines() if line and not line.startswith(("#", "-r"))]


@pytest.mark.parametrize("name", LOCKED)
def test_all_that_is_installed_is_pinned_and_hashed(name):
    found = requirements(f"{name}.txt")
    assert found
    for line in found:
        assert re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


def test_make_installs_nothing_without_a_hash():
    command = ["make", "--dry-run", "--always-make", "test"]
    commands = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    installing = re.findall(r"pip .*install.* -r \S+", commands)
    assert "-r requirements/torch.txt" in " ".join(installing)
    assert all("--no-deps --require-hashes" in line for line in installing)


@pytest.mark.parametrize("name", sorted(set(LOCKED) - BY_HAND))
def test_what_is_named_is_what_is_locked(name):
    """`make lock` was run after the last change of a .in."""
    locked = {line.split()[0] for line in requirements(f"{name}.txt")}
    for line in requirements(f"{name}.in"):
        assert line.split(";")[0].strip() in locked, "make lock"


def test_an_apt_ros_gets_neither_ros_nor_numpy_nor_opencv_from_us():
    for name in ("apt", "train", "int8", "ray", "torch", "torch-cpu", "gpu"):
        names = [line.split("==")[0] for line in requirements(f"{name}.txt")]
        assert not [n for n in names if n.startswith(("ros-", "numpy", "opencv", "setuptools"))]


def test_a_version_is_the_same_wherever_it_is_locked():
    versions = {}
    for name in set(LOCKED) - {"torch-cpu"}:
        for line in requirements(f"{name}.txt"):
            requirement, _, marker = line.partition(" --hash")[0].partition(";")
            package, version = requirement.strip().split("==")
            # distributions of ROS differ from each other
            key = (package, marker.strip(), name if package.startswith("ros-") else "")
            assert versions.setdefault(key, version) == version, f"{package} in {name}.txt"
