"""Start the node `caer` and, unless told otherwise, bring it to work.

ros2 launch caer_ros caer.launch.py image:=/camera/image_raw
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, RegisterEventHandler
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

ARGUMENTS = [
    (
        "params_file",
        PathJoinSubstitution([FindPackageShare("caer_ros"), "config", "caer.yaml"]),
        "Parameter file; config/caer.yaml explains every parameter",
    ),
    ("namespace", "", "Namespace of the node and its relative topics"),
    ("name", "caer", "Name of the node; each of several nodes needs its own"),
    ("image", "image", "Camera topic, without /compressed"),
    ("image_transport", "raw", "raw, or compressed to read <image>/compressed"),
    ("use_sim_time", "false", "Take the time from /clock (a simulator, ros2 bag play --clock)"),
    ("autostart", "true", "Configure and activate; false leaves that to a lifecycle manager"),
    ("log_level", "info", "debug, info, warn, error or fatal"),
]


def generate_launch_description() -> LaunchDescription:
    """Return the node and the two transitions that bring it to work."""
    node = LifecycleNode(
        package="caer_ros",
        executable="caer_node",
        name=LaunchConfiguration("name"),
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "image_transport": LaunchConfiguration("image_transport"),
                "use_sim_time": ParameterValue(
                    LaunchConfiguration("use_sim_time"), value_type=bool
                ),
            },
        ],
        remappings=[("image", LaunchConfiguration("image"))],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
        emulate_tty=True,
    )

    def change_state(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=matches_action(node), transition_id=transition
            )
        )

    autostart = IfCondition(LaunchConfiguration("autostart"))
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, default, description in ARGUMENTS
            ),
            # registered before the node starts, so that no event is missed
            RegisterEventHandler(
                OnProcessStart(
                    target_action=node,
                    on_start=[change_state(Transition.TRANSITION_CONFIGURE)],
                ),
                condition=autostart,
            ),
            RegisterEventHandler(
                OnStateTransition(
                    target_lifecycle_node=node,
                    start_state="configuring",
                    goal_state="inactive",
                    entities=[change_state(Transition.TRANSITION_ACTIVATE)],
                ),
                condition=autostart,
            ),
            node,
        ]
    )
