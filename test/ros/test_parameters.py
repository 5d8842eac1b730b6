# SPDX-License-Identifier: Apache-2.0
"""Settings as ROS parameters, on a real node; the parameter file that documents them."""

import math
from dataclasses import dataclass, field

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from caer_ros.node_settings import NodeSettings
from caer_ros.paths import share_folder
from caer_ros.ros.parameters import declare_settings, read_settings, to_descriptor
from caer_ros.settings import SettingError, describe, read_parameters, setting


@dataclass(frozen=True)
class Inner:
    score: float = setting(0.5, "how sure", minimum=0.0, maximum=1.0, live=True)
    size: int = setting(20, "how large", minimum=1)


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    mode: str = setting("a", "which way", choices=("a", "b"))
    topics: list[str] = setting(["x"], "where from")
    on: bool = setting(True, "whether")


@pytest.fixture
def make_node():
    context = Context()
    rclpy.init(context=context, domain_id=99)
    nodes = []

    def make(**overrides) -> Node:
        given = [Parameter(name.replace("__", "."), value=v) for name, v in overrides.items()]
        nodes.append(Node("tested", context=context, parameter_overrides=given))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_settings_are_declared_and_read_back(make_node):
    node = make_node(inner__score=0.75, mode="b", topics=["y", "z"])

    assert declare_settings(node, Outer) == {}

    assert read_settings(node, Outer) == Outer(Inner(0.75, 20), "b", ["y", "z"], True)


def test_a_whole_number_in_the_file_does_for_a_float(make_node):
    node = make_node(inner__score=1)

    assert declare_settings(node, Outer) == {}
    assert read_settings(node, Outer).inner.score == 1.0


@pytest.mark.parametrize(
    ("overrides", "name", "reason"),
    [
        ({"inner__score": 7.0}, "inner.score", "inner.score is 7.0, the most allowed is 1.0"),
        ({"inner__score": math.nan}, "inner.score", "inner.score is nan"),
        ({"inner__size": 0}, "inner.size", "inner.size is 0, the least allowed is 1"),
        ({"inner__size": "big"}, "inner.size", "inner.size is 'big', expected a int"),
        ({"mode": "c"}, "mode", "mode is 'c', expected one of a, b"),
        ({"on": 1}, "on", "on is 1, expected a bool"),
    ],
)
def test_a_value_that_does_not_fit_leaves_the_default_and_is_told(
    make_node, overrides, name, reason
):
    node = make_node(**overrides)

    refused = declare_settings(node, Outer)

    assert list(refused) == [name]
    assert reason in refused[name]
    assert read_settings(node, Outer) == Outer()


def test_changes_are_checked_together_with_what_is_there(make_node):
    node = make_node()
    declare_settings(node, Outer)

    changed = read_settings(node, Outer, [Parameter("mode", value="b"), Parameter("z", value=1)])
    assert changed == Outer(mode="b")
    with pytest.raises(SettingError, match="mode is 'c'"):
        read_settings(node, Outer, [Parameter("mode", value="c")])


def test_rclpy_itself_refuses_what_is_out_of_the_described_range(make_node):
    node = make_node()
    declare_settings(node, Outer)

    result = node.set_parameters([Parameter("inner.size", value=0)])[0]

    assert not result.successful
    assert "inner.size" in result.reason


@pytest.mark.parametrize("leaf", list(describe(NodeSettings)), ids=lambda leaf: leaf.name)
def test_every_parameter_of_the_node_is_described(leaf):
    descriptor = to_descriptor(leaf)

    assert len(descriptor.description) > 10
    assert descriptor.name == leaf.name
    assert ("Read-only" in descriptor.additional_constraints) == (not leaf.live)
    for choice in leaf.choices:
        assert choice in descriptor.additional_constraints


def test_the_parameter_file_holds_every_parameter_with_its_default():
    file = share_folder() / "config" / "caer.yaml"

    assert read_parameters(file) == {leaf.name: leaf.default for leaf in describe(NodeSettings)}


def test_the_parameter_file_explains_every_parameter():
    lines = (share_folder() / "config" / "caer.yaml").read_text().splitlines()

    for number, line in enumerate(lines):
        name = line.strip().partition(":")[0]
        if ":" in line and not line.endswith(":") and not line.lstrip().startswith("#"):
            assert lines[number - 1].lstrip().startswith("# "), name
    for leaf in describe(NodeSettings):
        if leaf.live:
            end = next(
                i
                for i, line in enumerate(lines)
                if line.strip().startswith(leaf.name.rpartition(".")[2] + ":")
            )
            assert lines[end - 1].endswith("[live]"), leaf.name
