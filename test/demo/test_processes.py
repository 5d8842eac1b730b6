# SPDX-License-Identifier: Apache-2.0
"""The demo's child processes end with it."""

import os
import signal
import sys
import time

import pytest

from caer_ros.demo import processes
from caer_ros.demo.processes import fast_dds_profile, running
from caer_ros.ros.fast_dds import profile_variable


@pytest.fixture
def sleeper(tmp_path):
    """Return a command that says what is in CAER_TEST and sleeps, deaf to SIGINT if told so."""
    program = tmp_path / "sleeper.py"
    program.write_text(
        "import os, signal, sys, time\n"
        "if 'deaf' in sys.argv:\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print(os.environ.get('CAER_TEST'), flush=True)\n"
        "time.sleep(600)\n"
    )
    return [sys.executable, str(program)]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def wait_for(log):
    while not log.read_text():
        time.sleep(0.01)
    return log.read_text().strip()


def test_a_process_gets_the_environment_and_ends_with_the_block(sleeper, log, monkeypatch):
    monkeypatch.setenv("CAER_TEST", "yes")
    with running(sleeper, log) as process:
        assert wait_for(log) == "yes"
    assert process.returncode not in (None, 0)


def test_it_ends_too_when_the_block_breaks(sleeper, log):
    with pytest.raises(KeyboardInterrupt), running(sleeper, log) as process:
        wait_for(log)
        raise KeyboardInterrupt
    assert process.returncode is not None


def test_one_that_ignores_ctrl_c_is_ended_all_the_same(sleeper, log, monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 1.0)
    with running([*sleeper, "deaf"], log) as process:
        wait_for(log)
    assert process.returncode == -signal.SIGTERM


def test_one_that_ended_by_itself_keeps_its_status(log):
    with running([sys.executable, "-c", "raise SystemExit(3)"], log) as process:
        process.wait()
    assert process.returncode == 3


def test_the_profile_is_set_meanwhile_and_what_was_before_comes_back(monkeypatch):
    name, path = profile_variable()
    monkeypatch.setenv(name, "mine.xml")
    with fast_dds_profile():
        assert os.environ[name] == path
    assert os.environ[name] == "mine.xml"
    monkeypatch.delenv(name)
    with fast_dds_profile():
        assert os.environ[name] == path
    assert name not in os.environ
