# SPDX-License-Identifier: Apache-2.0
"""The launch file, where launch_ros is installed (on an apt ROS it is; on PyPI there is none)."""

from __future__ import annotations

import os
import sys

import pytest

from caer_ros.paths import share_folder

pytest.importorskip("launch_ros", reason="launch_ros is not installed: caer.launch.py not tested")

LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

source = PythonLaunchDescriptionSource(sys.argv[1])
arguments = [argument.split(":=") for argument in sys.argv[2:]]
service = LaunchService()
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


@pytest.fixture
def launch(graph):
    """Return a function that launches caer.launch.py with arguments."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", sys.prefix)

    def start(*arguments: str):
        file = str(share_folder() / "launch" / "caer.launch.py")
        command = [sys.executable, "-c", LAUNCH, file, *arguments]
        return graph.start(*command, AMENT_PREFIX_PATH=prefixes)

    return start


def test_the_launch_file_brings_the_node_to_work_on_the_camera_it_is_given(graph, launch):
    process = launch("image:=/camera/image_raw", "large_images:=true")

    answer = graph.answer(graph.picture, "/camera/image_raw")

    assert answer.image_width == 320
    assert graph.state() == "active"
    process.stop()
    assert "process has finished cleanly" in process.output


def test_without_autostart_the_node_waits_and_arguments_reach_it(graph, launch):
    launch("autostart:=false", "namespace:=front", "name:=eyes", "image_transport:=compressed")

    assert graph.state("/front/eyes") == "unconfigured"
    graph.change_state(1, "/front/eyes")
    graph.change_state(3, "/front/eyes")
    graph.spin(lambda: graph.node.count_subscribers("/front/image/compressed"))
