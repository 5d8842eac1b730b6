# SPDX-License-Identifier: Apache-2.0
"""Start the node `caer` and, unless told otherwise, bring it to work.

ros2 launch caer_ros caer.launch.py image:=/camera/image_raw
"""

import sys
from difflib import get_close_matches
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

from caer_ros.ros.fast_dds import profile_variable

CONFIG = PathJoinSubstitution([FindPackageShare("caer_ros"), "config"])

# a parameter's own argument goes before the file, but only where it is given
PARAMETERS = {
    "image": ("image_topics", "camera topic"),
    "image_transport": ("image_transport", "raw, or compressed to read <image>/compressed"),
    "weights": ("engine.weights", "caer_net_s, caer_net, or the path of a .safetensors file"),
    "engine": ("engine.engine", "auto, openvino, torch or tensorrt"),
}

ARGUMENTS = [
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([CONFIG, "caer.yaml"]),
        description="Parameter file; config/caer.yaml explains every parameter",
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="Namespace of the node and its relative topics"
    ),
    DeclareLaunchArgument(
        "name", default_value="caer", description="Name of the node; two nodes need two"
    ),
    *(
        DeclareLaunchArgument(
            argument,
            default_value="",
            description=f"Parameter {name}: {description}; empty for what params_file says",
        )
        for argument, (name, description) in PARAMETERS.items()
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=["true", "false"],
        description="Take the time from /clock: a simulator, ros2 bag play --clock",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        choices=["true", "false"],
        description="Configure and activate the node; false leaves it to a lifecycle manager",
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="false",
        choices=["true", "false"],
        description="Start the node anew where its process ends",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severity that is logged",
    ),
    DeclareLaunchArgument(
        "large_images",
        default_value="false",
        choices=["true", "false"],
        description="Let the debug image leave through a shared memory it fits into "
        "(config/fastdds.xml); the camera driver needs that profile for its own images",
    ),
]


def start_node(context: LaunchContext) -> list[Action]:
    """Return the node.

    Raises:
        RuntimeError: where the parameter file is missing.
    """

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    if not Path(given("params_file")).is_file():
        raise RuntimeError(f"params_file is {given('params_file')!r}, which is no file")
    overrides = {
        name: [given(argument)] if argument == "image" else given(argument)
        for argument, (name, _) in PARAMETERS.items()
        if given(argument)
    }
    flags = {name: given(name) == "true" for name in ("use_sim_time", "autostart")}
    node = LifecycleNode(
        package="caer_ros",
        executable="caer_node",
        name=given("name"),
        namespace=given("namespace"),
        parameters=[given("params_file"), {**flags, **overrides}],
        ros_arguments=["--log-level", given("log_level")],
        respawn=given("respawn") == "true",
        respawn_delay=1.0,
        output="screen",
        emulate_tty=True,
    )
    return [node]


def check_arguments(context: LaunchContext) -> None:
    """Refuse arguments that nobody knows, or where another file gave them, tell of them.

    A file that includes this one has arguments of its own, and `launch` does not say which of all
    are meant for whom. So only that is told of which looks like one that was not given.

    Raises:
        RuntimeError: naming the argument of the command line.
    """
    known = [argument.name for argument in ARGUMENTS]
    included = all(Path(word).name != Path(__file__).name for word in sys.argv)
    given = {name for name, is_argument, _ in (w.partition(":=") for w in sys.argv) if is_argument}
    for name in sorted(context.launch_configurations if included else given):
        likely = get_close_matches(name, known, n=1, cutoff=0.8 if included else 0.6)
        if name in known or (included and {*likely} <= context.launch_configurations.keys()):
            continue
        hint = f"did you mean {likely[0]}?" if likely else f"there are {', '.join(known)}"
        complaint = f"caer.launch.py has no argument {name}; {hint}"
        if not included:
            raise RuntimeError(complaint)
        get_logger("caer.launch.py").warning(complaint)


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` starts."""
    # first, while nothing is known but what was given
    check = OpaqueFunction(function=check_arguments)
    profile = SetEnvironmentVariable(
        *profile_variable(),
        condition=IfCondition(LaunchConfiguration("large_images")),
    )
    # a group, so that what is declared here is not left behind in a file that includes this one
    group = GroupAction([check, *ARGUMENTS, profile, OpaqueFunction(function=start_node)])
    return LaunchDescription([group])
