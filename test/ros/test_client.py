# SPDX-License-Identifier: Apache-2.0
"""Processes that end with us, and what is told of a node that does not do its work."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from lifecycle_msgs.msg import Transition
from rclpy.lifecycle import LifecycleNode

from caer_ros.ros import client
from caer_ros.ros.client import (
    Client,
    NodeError,
    Process,
    enter_own_graph,
    fast_dds_profile,
    reserve_domain,
)
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


def test_a_process_gets_the_environment_and_ends_with_the_block(sleeper, log):
    with Process(sleeper, log, CAER_TEST="yes") as process:
        assert wait_for(log) == process.output.strip() == "yes"
        assert process.status is None
    assert process.status not in (None, 0)


def test_it_ends_too_when_the_block_breaks(sleeper, log):
    with pytest.raises(KeyboardInterrupt), Process(sleeper, log) as process:
        wait_for(log)
        raise KeyboardInterrupt
    assert process.status is not None


def test_one_that_ignores_ctrl_c_is_ended_all_the_same(sleeper, log, monkeypatch):
    monkeypatch.setattr(client, "GRACE", 5.0)
    with Process([*sleeper, "deaf"], log) as process:
        wait_for(log)
    assert process.status == -signal.SIGTERM


def test_one_that_ended_by_itself_keeps_its_status(log):
    with Process([sys.executable, "-c", "raise SystemExit(3)"], log) as process:
        while process.status is None:
            time.sleep(0.01)
    assert process.stop() == process.status == 3


@pytest.fixture
def listener():
    domain, reservation = reserve_domain()
    with reservation, Client(domain_id=domain) as listener:
        yield listener


def test_a_node_that_dies_is_reported(listener, log):
    with Process([sys.executable, "-c", ""], log) as process:
        with pytest.raises(NodeError, match="the node died before it could serve /caer/change"):
            listener.activate(process)


def test_what_takes_too_long_is_named(listener):
    with pytest.raises(NodeError, match="did not wake up within 0 s"):
        listener.spin(lambda: False, "wake up", seconds=0.1)


@pytest.fixture
def forgetful(listener):
    """Return a lifecycle node whose services each lose their first response."""
    node = LifecycleNode("caer", context=listener.context)
    listener._executor.add_node(node)
    for service in node.services:
        send = service.send_response

        def lose(response, header, service=service, send=send):
            service.send_response = send

        service.send_response = lose
    yield node
    listener._executor.remove_node(node)
    node.destroy_node()


def test_a_response_that_gets_lost_is_asked_for_again(listener, forgetful, monkeypatch):
    monkeypatch.setattr(client, "PATIENCE", 0.2)
    assert listener.state() == "unconfigured"


def test_a_transition_whose_response_gets_lost_has_been_made(listener, forgetful, monkeypatch):
    monkeypatch.setattr(client, "PATIENCE", 0.2)

    assert listener.change_state(Transition.TRANSITION_CONFIGURE)
    assert listener.state() == "inactive"


def test_no_two_programs_of_a_machine_get_one_domain(monkeypatch, tmp_path):
    for name in ("AMENT_PREFIX_PATH", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_DOMAIN_ID"):
        monkeypatch.setenv(name, "")
    held = [reserve_domain() for _ in range(3)]
    enter_own_graph()
    mine = int(os.environ["ROS_DOMAIN_ID"])
    code = "from caer_ros.ros.client import reserve_domain as r; print([r() for _ in '12'])"
    theirs = subprocess.check_output(
        # whoever has our number begins to look where we did
        [sys.executable, "-c", f"import os; os.getpid = lambda: {os.getpid()}; {code}"],
        text=True,
        cwd=tmp_path,
    )
    others = {int(number) for number in re.findall(r"\((\d+), <", theirs)}
    assert len(others) == 2
    assert len({mine, *others, *(domain for domain, _ in held)}) == 6
    for _, reservation in held:
        reservation.close()


def test_before_the_first_diagnostics_there_are_no_values(listener):
    assert listener.values() == {}


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
