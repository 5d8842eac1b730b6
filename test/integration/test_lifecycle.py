# SPDX-License-Identifier: Apache-2.0
"""The node as a lifecycle manager and an operator see it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Vector3
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter as RclpyParameter
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock
from safetensors.numpy import save_file
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from caer_ros.demo.material import GROUP
from caer_ros.images import decode, to_bgr
from caer_ros.network.spec import NetworkSpec, resolve_weights
from caer_ros.ros.conversions import to_header, to_image

from .conftest import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, NODE


def set_parameter(graph, name, value, node="/caer"):
    """Set one parameter as `ros2 param set` does; return whether that went well, and why not."""
    message = RclpyParameter(name, value=value).to_parameter_msg()
    request = SetParameters.Request(parameters=[message])
    result = graph.call(SetParameters, f"{node}/set_parameters", request).results[0]
    return result.successful, result.reason


def threads(process):
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


def test_the_node_waits_for_a_manager_and_goes_all_the_way_round_without_leaking_threads(graph):
    process = graph.start_node()
    assert graph.state() == "unconfigured"
    reset = graph.call(Trigger, "/caer/reset", Trigger.Request())
    assert (reset.success, reset.message) == (False, "not configured")

    counts = []
    for _ in range(3):
        assert graph.change_state(CONFIGURE)
        assert graph.state() == "inactive"
        assert graph.change_state(ACTIVATE)
        assert graph.state() == "active"
        assert graph.answer(graph.picture).image_width == 320
        assert graph.change_state(DEACTIVATE)
        graph.spin(lambda: graph.node.count_subscribers("/image") == 0)
        assert graph.change_state(CLEANUP)
        assert graph.state() == "unconfigured"
        counts.append(threads(process))

    # the first round fills the pools that OpenVINO keeps; who has just ended is listed for a while
    graph.spin(lambda: threads(process) <= counts[1], f"no thread is left after {counts}")
    assert process.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_node_ends_at_once_and_in_order_while_it_works(graph, how):
    process = graph.start_active_node()
    graph.answer(graph.picture)

    os.kill(process.pid, how)
    # Ctrl-C in a terminal comes from there and from `ros2 launch`, at any time until the end
    graph.spin(lambda: process.ended or os.kill(process.pid, signal.SIGINT))

    assert process.stop() == 0
    assert "Traceback" not in process.output
    assert "[ERROR]" not in process.output


def test_weights_that_cannot_be_used_fail_the_transition_and_right_ones_mend_it(graph, tmp_path):
    missing, cut, foreign, other = (tmp_path / f"{i}.safetensors" for i in range(4))
    cut.write_bytes(resolve_weights("caer_net_s").read_bytes()[:100_000])
    tensors = {"layer.weight": np.zeros((3, 3), np.float32)}
    save_file(tensors, foreign)
    of_another = {**NetworkSpec().to_metadata(), "architecture": '"resnet50"'}
    save_file(tensors, other, of_another)
    process = graph.start_node("-p", f"engine.weights:={missing}")

    for path, named in (
        (missing, "neither a file nor a network of the package"),
        (cut, "is not a whole safetensors file"),
        (foreign, "has no CAER-Net metadata"),
        (other, "architecture is 'resnet50', expected one of"),
    ):
        assert set_parameter(graph, "engine.weights", str(path)) == (True, "")
        assert not graph.change_state(CONFIGURE)
        assert graph.state() == "unconfigured"
        complaints = [line for line in process.output.splitlines() if str(path) in line]
        assert len(complaints) == 1
        assert "cannot configure: " in complaints[0]
        assert named in complaints[0]
        graph.spin(lambda path=path: str(path) in graph.values().get("last error", ""))
        assert graph.diagnostics["/caer: pipeline"][0] == DiagnosticStatus.ERROR

    assert set_parameter(graph, "engine.weights", "caer_net_s") == (True, "")
    assert graph.change_state(CONFIGURE)
    assert graph.change_state(ACTIVATE)
    assert graph.answer(graph.picture)


def test_a_parameter_out_of_range_in_the_file_fails_the_transition_until_it_is_mended(
    graph, tmp_path
):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    detector: {min_score: 7.0}\n    smothing: {hold: 1.0}\n"
    )
    process = graph.start_node("--params-file", str(file))

    assert not graph.change_state(CONFIGURE)
    assert "cannot configure: detector.min_score is 7.0, the most allowed is" in process.output
    assert "'smothing.hold' is unknown and ignored; did you mean 'smoothing.hold'?" in (
        process.output
    )

    assert set_parameter(graph, "detector.min_score", 0.5) == (True, "")
    assert graph.change_state(CONFIGURE)


def test_thresholds_change_while_running_and_what_is_wrong_is_refused_with_the_reason(served):
    assert set_parameter(served, "detector.min_score", 0.7) == (True, "")

    accepted, reason = set_parameter(served, "detector.min_score", 7.0)
    assert not accepted
    assert "detector.min_score" in reason
    assert "7.0" in reason

    accepted, reason = set_parameter(served, "engine.weights", "caer_net")
    assert not accepted
    assert "engine.weights cannot change from 'caer_net_s' to 'caer_net'" in reason
    accepted, reason = set_parameter(served, "image_topics", ["other"])
    assert not accepted
    assert "image_topics cannot change" in reason
    # `ros2 param load` sets all that the file has
    assert set_parameter(served, "engine.weights", "caer_net_s") == (True, "")
    # which the launch file sets otherwise
    assert set_parameter(served, "autostart", True) == (True, "")
    assert served.answer(served.picture)


def test_every_parameter_describes_itself(served):
    names = ["detector.min_score", "engine.engine", "image_topics"]
    request = DescribeParameters.Request(names=names)
    response = served.call(DescribeParameters, "/caer/describe_parameters", request)

    score, engine, topics = response.descriptors
    assert all(d.description for d in response.descriptors)
    assert 0 <= score.floating_point_range[0].from_value < 1
    assert "Read-only while the node is configured" in engine.additional_constraints
    assert "openvino" in engine.additional_constraints
    assert topics.type == ParameterType.PARAMETER_STRING_ARRAY


def test_disabled_the_node_listens_to_no_camera_and_enabled_again_it_answers(served):
    served.answer(served.picture)

    off = served.call(SetBool, "/caer/enable", SetBool.Request(data=False))
    assert (off.success, off.message) == (True, "not reading")
    served.spin(lambda: served.node.count_subscribers("/image") == 0)
    served.spin(lambda: served.values()["state"] == "disabled")

    on = served.call(SetBool, "/caer/enable", SetBool.Request(data=True))
    assert (on.success, on.message) == (True, "reading images")
    assert served.answer(served.picture)


def test_reset_forgets_all_persons(served):
    response = served.call(Trigger, "/caer/reset", Trigger.Request())

    assert (response.success, response.message) == (True, "all persons forgotten")
    assert served.answer(served.picture)


@pytest.mark.parametrize(
    ("kind", "topic"),
    [(Image, "/caer/debug_image"), (CompressedImage, "/caer/debug_image/compressed")],
)
def test_the_debug_image_is_drawn_only_for_those_who_look(kind, topic, served):
    served.spin(lambda: served.node.count_publishers(topic) == 1)
    seen = []
    subscription = served.node.create_subscription(kind, topic, seen.append, 5)
    served.spin(
        lambda: seen, "a debug image comes", again=lambda: served.publish(served.picture())
    )
    served.node.destroy_subscription(subscription)

    picture = to_bgr(seen[0]) if kind is Image else decode(seen[0])
    assert picture.shape == (240, 320, 3)
    assert seen[0].header.frame_id == "head"


def test_a_camera_that_is_silent_is_reported_as_stale(served):
    def level():
        return served.diagnostics["/caer: /image"][0]

    def publish():
        served.publish(served.picture())

    served.spin(lambda: level() == DiagnosticStatus.OK, again=publish)
    served.spin(lambda: level() == DiagnosticStatus.STALE)
    served.process.wait_for("/image: no image: /robot publishes /image with a QoS that fits")
    assert "no image arrives" in served.diagnostics["/caer: /image"][1]

    served.spin(lambda: level() == DiagnosticStatus.OK, again=publish)


def test_two_nodes_of_one_name_are_told_apart_by_nobody_and_told_off(graph):
    first, second = graph.start_node(), graph.start_node()

    for process in (first, second):
        graph.spin(lambda process=process: "2 nodes are named /caer" in process.output)
    graph.spin(lambda: "2 nodes are named /caer" in graph.diagnostics["/caer: pipeline"][1])

    second.stop()
    graph.spin(lambda: "nodes are named" not in graph.diagnostics["/caer: pipeline"][1])


def test_two_nodes_in_two_namespaces_do_not_mind_each_other(graph):
    left = graph.start_node("-r", "__ns:=/left")
    right = graph.start_node("-r", "__ns:=/right")

    for side in ("left", "right"):
        assert graph.state(f"/{side}/caer") == "unconfigured"
        graph.spin(lambda side=side: f"/{side}/caer: pipeline" in graph.diagnostics)
    assert "nodes are named" not in left.output + right.output


def test_the_quality_of_service_can_be_overridden(graph):
    graph.start_active_node("-p", "qos_overrides./image.subscription.reliability:=reliable")
    graph.answer(graph.picture)

    (endpoint,) = graph.node.get_subscriptions_info_by_topic("/image")
    assert endpoint.qos_profile.reliability.name == "RELIABLE"
    (endpoint,) = graph.node.get_publishers_info_by_topic("/caer/emotions")
    assert endpoint.qos_profile.reliability.name == "RELIABLE"


def test_durability_and_the_debug_image_can_be_overridden_and_a_misspelt_policy_is_named(graph):
    process = graph.start_active_node(
        *("-p", "qos_overrides./caer/debug_image.publisher.reliability:=best_effort"),
        *("-p", "qos_overrides./caer/emotions.publisher.durability:=transient_local"),
        *("-p", "qos_overrides./image.subscription.reliabilty:=reliable"),
    )

    def quality(topic):
        (endpoint,) = graph.node.get_publishers_info_by_topic(topic)
        return endpoint.qos_profile

    graph.spin(lambda: graph.node.count_publishers("/caer/debug_image"))
    assert quality("/caer/debug_image").reliability.name == "BEST_EFFORT"
    assert quality("/caer/emotions").durability.name == "TRANSIENT_LOCAL"
    process.wait_for(
        "'qos_overrides./image.subscription.reliabilty' is unknown and ignored; did you mean "
        "'qos_overrides./image.subscription.reliability'?"
    )


def test_topics_that_cannot_be_subscribed_fail_the_transition(graph):
    process = graph.start_node("-p", "image_topics:=[]")
    assert not graph.change_state(CONFIGURE)

    accepted, reason = set_parameter(graph, "image_topics", ["/a", "/a"])
    assert not accepted
    assert "image_topics is ['/a', '/a'], expected one or more, each once" in reason

    assert set_parameter(graph, "image_topics", ["not a topic"]) == (True, "")
    assert not graph.change_state(CONFIGURE)
    assert graph.state() == "unconfigured"
    assert "image_topics has 'not a topic'" in process.output


def test_with_autostart_the_node_leads_itself_once_and_obeys_afterwards(graph):
    process = graph.start_node("-p", "autostart:=true")

    assert graph.answer(graph.picture)
    assert graph.state() == "active"
    process.wait_for("reading /image (sensor_msgs/msg/Image, best effort and volatile, depth 1)")
    for transition in (DEACTIVATE, CLEANUP, CONFIGURE):
        assert graph.change_state(transition)
    assert graph.state() == "inactive"


def test_without_autostart_the_node_says_what_it_waits_for(graph):
    process = graph.start_node()

    process.wait_for("waiting for a lifecycle manager, or for ros2 lifecycle set /caer configure")


def test_autostart_that_cannot_configure_says_why_and_waits(graph):
    process = graph.start_node("-p", "autostart:=true", "-p", "engine.weights:=nowhere")

    process.wait_for("cannot configure: ")
    assert graph.state() == "unconfigured"


def test_nobody_in_view_is_counted_once_the_camera_is_silent(graph, material):
    group = cv2.resize(cv2.imread(str(material / GROUP)), (640, 480))
    graph.start_active_node()

    graph.spin(
        lambda: graph.values("/image").get("persons") == "5",
        "five persons are counted",
        again=lambda: graph.publish(to_image(group, graph.now(), "head")),
    )

    graph.spin(lambda: graph.values("/image")["persons"] == "0", "they are no longer counted")
    counts = {key: int(graph.values()[key]) for key in ("received", "processed", "dropped")}
    assert counts["received"] == counts["processed"] + counts["dropped"]


@pytest.mark.parametrize(
    ("topic", "kind", "said"),
    [
        (None, None, "nobody publishes /image, nor anything else of type sensor_msgs/msg/Image"),
        ("/camera", Image, "nobody publishes /image; images are on /camera: set image_topics"),
        ("/other/debug_image", Image, "nobody publishes /image, nor anything else of type"),
        ("/image/compressed", CompressedImage, "only /image/compressed: set image_transport"),
        ("/image", CompressedImage, "/image is published as sensor_msgs/msg/CompressedImage, not"),
    ],
)
def test_the_node_says_why_no_image_comes(graph, topic, kind, said):
    if topic:
        graph.node.create_publisher(kind, topic, 5)
    process = graph.start_active_node()

    process.wait_for(said)

    assert "[WARN]" in next(x for x in process.output.splitlines() if said in x)
    graph.spin(lambda: said in graph.diagnostics["/caer: /image"][1])


def test_a_quality_of_service_that_does_not_fit_is_named(graph):
    best_effort = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    graph.node.create_publisher(Image, "/image", best_effort)
    override = "qos_overrides./image.subscription.reliability"
    process = graph.start_active_node("-p", f"{override}:=reliable")

    process.wait_for("/robot publishes /image with best effort and volatile")
    process.wait_for("does not fit reliable and volatile")


def test_a_compressed_topic_is_taken_as_it_is(graph):
    graph.start_active_node(
        *("-p", "image_transport:=compressed", "-p", 'image_topics:=["/eye/image_raw/compressed"]')
    )

    graph.spin(lambda: graph.node.count_subscribers("/eye/image_raw/compressed"))
    graph.spin(lambda: "/caer: /eye/image_raw/compressed" in graph.diagnostics)
    graph.spin(lambda: graph.node.count_subscribers("/eye/camera_info"))


def test_simulated_time_that_does_not_come_is_told(graph):
    graph.start_active_node("-p", "use_sim_time:=true")

    graph.spin(lambda: "no time has come on /clock" in graph.diagnostics["/caer: pipeline"][1])
    assert graph.diagnostics["/caer: pipeline"][0] == DiagnosticStatus.WARN


def test_a_service_that_cannot_do_its_work_says_so_and_the_node_lives_on(graph):
    process = graph.start_node("-p", "qos_overrides./image.subscription.reliability:=often")
    graph.call(SetBool, "/caer/enable", SetBool.Request(data=False))
    assert graph.change_state(CONFIGURE)
    assert graph.change_state(ACTIVATE)

    answer = graph.call(SetBool, "/caer/enable", SetBool.Request(data=True))

    assert not answer.success
    assert "often" in answer.message
    assert graph.state() == "active"
    assert not process.ended


def test_a_clock_below_zero_costs_neither_the_node_nor_its_work(graph):
    process = graph.start_active_node("-p", "use_sim_time:=true")
    clock = graph.node.create_publisher(Clock, "/clock", 5)

    graph.spin(
        lambda: "a callback failed" in graph.diagnostics["/caer: pipeline"][1],
        again=lambda: clock.publish(Clock(clock=Time(sec=-5))),
    )

    process.wait_for("a callback failed, the node goes on: ")
    graph.spin(lambda: graph.diagnostics["/caer: pipeline"][0] != DiagnosticStatus.ERROR)
    assert graph.answer(graph.picture)


def test_a_log_folder_that_cannot_be_written_is_one_clear_line(graph, tmp_path):
    (tmp_path / "file").touch()
    process = graph.start(str(NODE), ROS_LOG_DIR=str(tmp_path / "file" / "log"))

    graph.spin(lambda: process.ended)
    assert process.stop() == 1
    assert "cannot start: " in process.output
    assert "ROS_LOG_DIR" in process.output
    assert "Traceback" not in process.output


SLOW_RCLPY = """
import pathlib, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "rclpy":
            pathlib.Path({folder!r}, "loading").touch()
            while not pathlib.Path({folder!r}, "go on").exists():
                time.sleep(0.05)

sys.meta_path.insert(0, Slow())
"""


def test_a_signal_while_the_node_still_loads_ends_it_in_order(graph, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SLOW_RCLPY.format(folder=str(tmp_path)))
    process = graph.start_node(PYTHONPATH=str(tmp_path))
    graph.spin((tmp_path / "loading").exists, "rclpy is about to be loaded")

    os.kill(process.pid, signal.SIGTERM)
    (tmp_path / "go on").touch()

    graph.spin(lambda: process.ended)
    assert process.status == 0, process.output


def camera_info(graph, **fields):
    info = CameraInfo(
        header=to_header(graph.now(), "head"),
        width=320,
        height=240,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[300.0, 0.0, 159.5, 0.0, 300.0, 119.5, 0.0, 0.0, 1.0],
    )
    for name, value in fields.items():
        setattr(info, name, value)
    return info


@pytest.mark.parametrize(
    ("topics", "idle"),
    [('["/front"]', True), ('["/eye", "/rear"]', False), ('["image"]', False)],
)
def test_a_remapping_that_no_image_topic_heeds_is_named(graph, topics, idle):
    program = graph.start_node("-p", f"image_topics:={topics}", "-r", "image:=/eye")
    graph.activate(program)

    program.wait_for("reading /")
    warned = "the remapping image:=/eye changes nothing, image_topics is ['/front']"
    assert (warned in program.output) == idle


@pytest.mark.parametrize(
    ("arguments", "topic"),
    [
        ((), "/eye/camera_info"),
        (("-p", 'camera_info_topics:=["calibration"]'), "/calibration"),
    ],
)
def test_faces_have_bearings_once_the_calibration_has_come(graph, material, arguments, topic):
    group = cv2.resize(cv2.imread(str(material / GROUP)), (320, 240))
    graph.start_active_node(
        *("-r", "image:=/eye/image_raw", "-p", "detector.min_size:=5", *arguments)
    )

    def people():
        graph.publish(to_image(group, graph.now(), "head"), "/eye/image_raw")

    graph.spin(lambda: graph.emotions and graph.emotions[-1].emotions, "faces", again=people)
    assert graph.emotions[-1].emotions[0].bearing == Vector3()
    assert graph.spin(lambda: graph.values("/eye/image_raw")["calibrated"]) == "no"

    def calibrated():
        graph.publish(camera_info(graph), topic)
        people()

    def aimed():
        return [e for m in graph.emotions for e in m.emotions if e.bearing != Vector3()]

    emotion = graph.spin(aimed, "a bearing", again=calibrated)[0]

    # a region has whole pixels, the bearing is that of the box itself
    x, y = (
        (offset + size / 2 - 0.5 - middle) / 300
        for offset, size, middle in (
            (emotion.face.x_offset, emotion.face.width, 159.5),
            (emotion.face.y_offset, emotion.face.height, 119.5),
        )
    )
    expected = np.array([x, y, 1]) / np.linalg.norm([x, y, 1])
    assert (emotion.bearing.x, emotion.bearing.y, emotion.bearing.z) == pytest.approx(
        expected, abs=1 / 300
    )
    graph.spin(lambda: graph.values("/eye/image_raw")["calibrated"] == "yes")


def test_a_calibration_that_does_not_fit_is_told_and_the_image_answered(served):
    def send():
        served.publish(camera_info(served, width=640, height=480), "/camera_info")
        served.publish(served.picture())

    served.spin(
        lambda: served.values("/image").get("warnings: calibration"), "it is counted", again=send
    )
    served.process.wait_for(
        "CameraInfo is for images of 640 x 480 pixels, the image has 320 x 240"
    )
    assert served.answer(served.picture)
