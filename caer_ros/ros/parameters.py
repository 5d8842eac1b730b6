# SPDX-License-Identifier: Apache-2.0
"""Settings as ROS parameters: declared with descriptors, checked, read back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions

from caer_ros.settings import OF_RCLPY, Setting, SettingError, build, describe

S = TypeVar("S")

QOS_OVERRIDES = QoSOverridingOptions(
    (
        QoSPolicyKind.HISTORY,
        QoSPolicyKind.DEPTH,
        QoSPolicyKind.RELIABILITY,
        QoSPolicyKind.DURABILITY,
    )
)
"""What `qos_overrides.<topic>.subscription` and `.publisher` may set."""

_TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    list[str]: ParameterType.PARAMETER_STRING_ARRAY,
}
_INT64 = 2**63 - 1


def to_descriptor(setting: Setting) -> ParameterDescriptor:
    """Return the descriptor that `ros2 param describe` shows for a setting."""
    constraints = []
    if setting.choices:
        constraints.append(f"One of: {', '.join(setting.choices)}.")
    if not setting.live:
        constraints.append("Read-only while the node is configured.")
    descriptor = ParameterDescriptor(
        name=setting.name,
        type=_TYPES[setting.type],
        description=setting.description,
        additional_constraints=" ".join(constraints),
    )
    low, high = setting.minimum, setting.maximum
    if setting.type is float and (low, high) != (None, None):
        descriptor.floating_point_range = [
            FloatingPointRange(
                from_value=-math.inf if low is None else float(low),
                to_value=math.inf if high is None else float(high),
            )
        ]
    if setting.type is int and (low, high) != (None, None):
        descriptor.integer_range = [
            IntegerRange(
                from_value=-_INT64 if low is None else int(low),
                to_value=_INT64 if high is None else int(high),
                step=1,
            )
        ]
    return descriptor


def declare_settings(node: Node, cls: type) -> dict[str, str]:
    """Declare every setting of `cls` as a parameter.

    A value given at start that does not fit leaves the default and is returned, by name, with
    the reason: the node must come up to say so. Names nobody knows are warned about.
    """
    # rclpy has no public way to see what a parameter file holds beside the declared names
    overrides = node._parameter_overrides
    refused = {}
    for setting in describe(cls):
        value = setting.default
        try:
            if setting.name in overrides:
                value = setting.check(overrides[setting.name].value)
            node.declare_parameter(setting.name, value, to_descriptor(setting), True)
        except (
            SettingError,
            InvalidParameterTypeException,
            InvalidParameterValueException,
        ) as error:
            refused[setting.name] = str(error)
            node.declare_parameter(setting.name, setting.default, to_descriptor(setting), True)
    known = [setting.name for setting in describe(cls)]
    for name in overrides:
        if not node.has_parameter(name) and not name.startswith(OF_RCLPY):
            node.get_logger().warning(_unknown(name, known))
    return refused


def read_settings(node: Node, cls: type[S], changes: Iterable[Any] = ()) -> S:
    """Return the node's parameters as settings, with `changes` (rclpy Parameters) applied.

    Raises:
        CaerError: where a value does not fit, or values do not fit together.
    """
    names = [setting.name for setting in describe(cls)]
    values = {name: node.get_parameter(name).value for name in names}
    values.update((change.name, change.value) for change in changes if change.name in values)
    return build(cls, values)


def unknown_qos_overrides(node: Node) -> list[str]:
    """Return what is wrong with each QoS override that no publisher or subscription asked for."""
    known = [name for name in node._parameters if name.startswith("qos_overrides.")]
    return [
        _unknown(name, known)
        for name in node._parameter_overrides
        if name.startswith("qos_overrides.") and name not in known
    ]


def _unknown(name: str, known: list[str]) -> str:
    likely = get_close_matches(name, known, n=1)
    hint = f"; did you mean {likely[0]!r}?" if likely else ""
    return f"parameter {name!r} is unknown and ignored{hint}"
