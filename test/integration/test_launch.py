# SPDX-License-Identifier: Apache-2.0
"""The launch file, where launch_ros is installed (on an apt ROS it is; on PyPI there is none)."""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest

from caer_ros.paths import share_folder

from .conftest import CLEANUP, CONFIGURE, DEACTIVATE

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


TWO = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def include(**arguments):
    source = PythonLaunchDescriptionSource({file!r})
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())])

def generate_launch_description():
    return LaunchDescription([include(name="left", image="/left"), include(image="/right")])
"""


NESTED = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def generate_launch_description():
    source = PythonLaunchDescriptionSource({file!r})
    arguments = {{"imgae": "/left", "name": "eyes"}}
    return LaunchDescription([
        DeclareLaunchArgument("names", default_value="of the file that includes"),
        IncludeLaunchDescription(source, launch_arguments=arguments.items()),
    ])
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


def test_the_image_given_goes_before_what_the_parameter_file_says(graph, launch, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**:\n  ros__parameters:\n    image_topics: [/other]\n")

    launch("image:=/camera/image_raw", f"params_file:={file}")

    assert graph.answer(graph.picture, "/camera/image_raw").camera == "/camera/image_raw"
    assert graph.node.count_subscribers("/other") == 0


def test_without_an_image_the_parameter_file_says_which(graph, launch, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**:\n  ros__parameters:\n    image_topics: [/other]\n")

    launch(f"params_file:={file}")

    assert graph.answer(graph.picture, "/other").camera == "/other"


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("imgae:=/camera", "has no argument imgae; did you mean image?"),
        ("params_file:=/nowhere.yaml", "params_file is '/nowhere.yaml', which is no file"),
    ],
)
def test_what_cannot_be_meant_is_refused(graph, launch, argument, named):
    process = launch(argument)

    graph.spin(lambda: process.ended)
    assert process.stop() != 0
    assert named in process.output


def test_a_misspelt_argument_of_an_include_is_told(graph, tmp_path):
    program = tmp_path / "nested.launch.py"
    program.write_text(NESTED.format(file=str(share_folder() / "launch" / "caer.launch.py")))
    process = graph.start(
        *(sys.executable, "-c", LAUNCH, str(program)),
        AMENT_PREFIX_PATH=os.environ.get("AMENT_PREFIX_PATH", sys.prefix),
    )

    process.wait_for("caer.launch.py has no argument imgae; did you mean image?")
    assert graph.state("/eyes")
    assert process.output.count("has no argument") == 1


def test_what_an_operator_does_by_hand_stays(graph, launch):
    launch()
    graph.answer(graph.picture)

    for transition in (DEACTIVATE, CLEANUP, CONFIGURE):
        assert graph.change_state(transition)

    assert graph.state() == "inactive"


def test_a_node_that_is_started_anew_comes_to_work_again(graph, launch):
    process = launch("respawn:=true")
    graph.answer(graph.picture)

    pid = re.search(r"process started with pid \[(\d+)\]", process.output)[1]
    os.kill(int(pid), signal.SIGKILL)

    process.wait_for("process has died")
    graph.emotions.clear()
    assert graph.answer(graph.picture)


def test_two_includes_do_not_mind_each_other(graph, tmp_path):
    file = str(share_folder() / "launch" / "caer.launch.py")
    program = tmp_path / "two.launch.py"
    program.write_text(TWO.format(file=file))
    graph.start(
        *(sys.executable, "-c", LAUNCH, str(program)),
        AMENT_PREFIX_PATH=os.environ.get("AMENT_PREFIX_PATH", sys.prefix),
    )

    assert graph.answer(graph.picture, "/right").camera == "/right"
    graph.spin(lambda: graph.node.count_subscribers("/left") == 1)
    assert graph.state("/left") == "active"
