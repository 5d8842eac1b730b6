# SPDX-License-Identifier: Apache-2.0
"""`make` on machines that lack something: it stops with what to do."""

import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[1] / "scripts" / "check_machine.sh"


@pytest.fixture
def machine(tmp_path):
    """Return a function that checks a machine with just these programs (shell scripts)."""

    def check(**programs):
        for name, script in programs.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        result = subprocess.run(
            ["/bin/sh", CHECK, "python"],
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
