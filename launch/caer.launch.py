# SPDX-License-Identifier: Apache-2.0
"""Start the node `caer` and, unless told otherwise, bring it to work.

ros2 launch caer_ros caer.launch.py image:=/camera/image_raw
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

from caer_ros.ros.fast_dds import profile_variable

CONFIG = PathJoinSubstitution([FindPackageShare("caer_ros"), "config"])

# a parameter's own argument goes before the file, but only where it is given
PARAMETERS = {
    "image_transport": "raw, or compressed to read <image>/compressed",
    "engine.weights": "caer_net_s, caer_net, or the path of a .safetensors file",
    "engine.engine": "auto, openvino, torch or tensorrt",
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
    DeclareLaunchArgument(
        "image", default_value="image", description="Camera topic, without /compressed"
    ),
    *(
        DeclareLaunchArgument(
            name.rpartition(".")[2],
            default_value="",
            description=f"Parameter {name}: {description}; empty for what params_file says",
        )
        for name, description in PARAMETERS.items()
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
    """Return the node, and the handlers that take it through its transitions."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    overrides = {name: given(name.rpartition(".")[2]) for name in PARAMETERS}
    node = LifecycleNode(
        package="caer_ros",
        executable="caer_node",
        name=given("name"),
        namespace=given("namespace"),
        parameters=[
            given("params_file"),
            {
                "use_sim_time": given("use_sim_time") == "true",
                **{name: value for name, value in overrides.items() if value},
            },
        ],
        remappings=[("image", given("image"))],
        ros_arguments=["--log-level", given("log_level")],
        output="screen",
        emulate_tty=True,
    )

    def change_state(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=matches_action(node), transition_id=transition
            )
        )

    configure = OnProcessStart(
        target_action=node, on_start=[change_state(Transition.TRANSITION_CONFIGURE)]
    )
    activate = OnStateTransition(
        target_lifecycle_node=node,
        start_state="configuring",
        goal_state="inactive",
        entities=[change_state(Transition.TRANSITION_ACTIVATE)],
    )
    autostart = IfCondition(LaunchConfiguration("autostart"))
    # the handlers come before the node, so that they miss nothing of it
    return [
        RegisterEventHandler(configure, condition=autostart),
        RegisterEventHandler(activate, condition=autostart),
        node,
    ]


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` starts."""
    profile = SetEnvironmentVariable(
        *profile_variable(),
        condition=IfCondition(LaunchConfiguration("large_images")),
    )
    return LaunchDescription([*ARGUMENTS, profile, OpaqueFunction(function=start_node)])
