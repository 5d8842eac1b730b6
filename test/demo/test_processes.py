"""The demo's child processes end with it."""

import signal
import sys
import time

import pytest

from caer_ros.demo import processes
from caer_ros.demo.processes import running


@pytest.fixture
def sleeper(tmp_path):
    """Write a module that says where it runs and then sleeps, deaf to SIGINT if told so."""
    (tmp_path / "sleeper.py").write_text(
        "import os, signal, sys, time\n"
        "if 'deaf' in sys.argv:\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print(os.getcwd(), os.environ.get('CAER_TEST'), flush=True)\n"
        "time.sleep(600)\n"
    )
    return tmp_path / "log"


def wait_for(log):
    while not log.read_text():
        time.sleep(0.01)
    return log.read_text().split()


def test_a_process_gets_its_environment_and_ends_with_the_block(sleeper):
    with running("sleeper", [], sleeper, {"CAER_TEST": "yes"}) as process:
        assert wait_for(sleeper) == [str(sleeper.parent), "yes"]
    assert process.returncode == -signal.SIGINT


def test_it_ends_too_when_the_block_breaks(sleeper):
    with pytest.raises(KeyboardInterrupt), running("sleeper", [], sleeper) as process:
        wait_for(sleeper)
        raise KeyboardInterrupt
    assert process.poll() is not None


def test_one_that_ignores_ctrl_c_is_ended_all_the_same(sleeper, monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.2)
    with running("sleeper", ["deaf"], sleeper) as process:
        wait_for(sleeper)
    assert process.returncode == -signal.SIGTERM


def test_one_that_ended_by_itself_keeps_its_status(tmp_path):
    (tmp_path / "ending.py").write_text("raise SystemExit(3)")
    with running("ending", [], tmp_path / "log") as process:
        assert process.wait(30) == 3
    assert process.returncode == 3


def test_the_interpreter_is_the_one_of_the_demo(tmp_path):
    (tmp_path / "which.py").write_text("import sys; print(sys.executable)")
    with running("which", [], tmp_path / "log") as process:
        process.wait(30)
    assert (tmp_path / "log").read_text().strip() == sys.executable
