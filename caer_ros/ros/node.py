# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `caer`: camera images in, `EmotionArray` out."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.lifecycle import (
    LifecycleNode,
    LifecyclePublisher,
    LifecycleState,
    TransitionCallbackReturn,
)
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from caer_ros.drawing import draw_readings
from caer_ros.msg import EmotionArray
from caer_ros.node_settings import NodeSettings
from caer_ros.perception.bearing import base_topic, camera_info_topic
from caer_ros.perception.pipeline import EmotionPipeline
from caer_ros.perception.tracker import person_ids
from caer_ros.ros.conversions import to_emotion_array, to_image
from caer_ros.ros.diagnostics import Statistics, to_status
from caer_ros.ros.parameters import declare_settings, read_settings, set_read_only
from caer_ros.ros.worker import Worker
from caer_ros.types import CaerError, FrameResult


class CaerNode(LifecycleNode):
    """Reads cameras and publishes the emotions that the people in their images show.

    Publishes `~/emotions`, `~/debug_image` (while somebody subscribes) and `/diagnostics`; serves
    `~/enable` and `~/reset`. It does not activate itself: the launch file does, or a manager.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__("caer", **arguments)
        self._enabled = True
        self._problem = ""
        self._namesakes = 0
        self._settings = NodeSettings()
        self._pipeline: EmotionPipeline | None = None
        self._ids: dict[str, Iterator[str]] = {}  # by prefix; they outlive a cleanup
        self._worker: Worker | None = None
        self._statistics = Statistics((), self.get_logger())
        self._topics: dict[str, tuple[str, str]] = {}  # names of image and CameraInfo by camera
        self._subscriptions_of_cameras: list[Subscription] = []
        self._emotions: LifecyclePublisher | None = None
        self._debug_images: dict[str, Publisher] = {}
        self._refused = declare_settings(self, NodeSettings)
        for reason in self._refused.values():
            self.get_logger().error(f"parameter refused: {reason}")
        self.add_on_set_parameters_callback(self._on_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # steady, so that paused or missing simulated time does not silence it
        self._timer = self.create_timer(
            self.get_parameter("diagnostics_period").value,
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self.create_service(SetBool, "~/enable", self._serve_enable)
        self.create_service(Trigger, "~/reset", self._serve_reset)

    # Transitions: a failure is one log line and FAILURE, and leaves things as they were.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, load detector, weights and engine, run them once."""
        return self._attempt("configure", self._configure, self.release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and subscribe the cameras."""
        super().on_activate(state)  # the publisher's
        return self._attempt("activate", self._activate, self._halt)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop the worker."""
        success = self._attempt("deactivate", self._halt)
        super().on_deactivate(state)  # the publisher's, now that the last answer is out
        return success

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free detector, engine and publishers."""
        return self._attempt("clean up", self.release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, whatever the state, and free everything."""
        return self._attempt("shut down", self.release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured."""
        return self._attempt("recover", self.release)

    def _attempt(
        self, what: str, action: Callable[[], None], undo: Callable[[], None] = lambda: None
    ) -> TransitionCallbackReturn:
        self._problem = ""
        try:
            action()
        # anything raised past here would leave the state machine in limbo
        except Exception as error:
            undo()
            kind = "" if isinstance(error, CaerError) else f"{type(error).__name__}: "
            self._problem = f"cannot {what}: {kind}{' '.join(str(error).split())}"
            self.get_logger().error(self._problem)
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        if self._refused:
            raise CaerError("; ".join(self._refused.values()))
        self._settings = read_settings(self, NodeSettings)
        self._topics = self._resolve_topics()
        cameras = list(self._topics)
        self._timer.timer_period_ns = round(self._settings.diagnostics_period * 1e9)
        prefix = self._settings.tracker.id_prefix
        ids = self._ids.setdefault(prefix, person_ids(prefix))
        self._pipeline = EmotionPipeline.from_settings(self._settings, ids)
        self._pipeline.warm_up()
        self._statistics = Statistics(cameras, self.get_logger())
        self._worker = Worker(
            self._pipeline,
            compressed=self._settings.image_transport == "compressed",
            max_pixels=self._settings.max_pixels,
            publish=self._publish,
            statistics=self._statistics,
            now=lambda: self.get_clock().now().nanoseconds,
        )
        self._emotions = self.create_lifecycle_publisher(
            EmotionArray,
            "~/emotions",
            QoSProfile(depth=10),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        for camera in cameras:
            topic = "~/debug_image" + (base_topic(camera) if len(cameras) > 1 else "")
            self._debug_images[camera] = self.create_publisher(Image, topic, QoSProfile(depth=1))
        set_read_only(self, NodeSettings, True)
        self._log_configuration(self._pipeline)

    def _resolve_topics(self) -> dict[str, tuple[str, str]]:
        """Return the names to subscribe image and CameraInfo by, for each resolved image topic."""
        settings, topics = self._settings, {}
        missing = len(settings.image_topics) - len(settings.camera_info_topics)
        infos = [*settings.camera_info_topics, *[""] * missing]
        for topic, info in zip(settings.image_topics, infos, strict=True):
            camera = self._resolve("image_topics", topic)
            if settings.image_transport == "compressed" and camera == base_topic(camera):
                topic = f"{camera}/compressed"
                camera = self._resolve("image_topics", topic)
            if camera in topics:
                raise CaerError(f"image_topics lead to {camera} twice, expected each once")
            info = info or camera_info_topic(camera)
            self._resolve("camera_info_topics", info)
            topics[camera] = (topic, info)
        return topics

    def _resolve(self, setting: str, topic: str) -> str:
        try:
            return str(self.resolve_topic_name(topic))
        # what rclpy raises for a bad name differs between distributions
        except Exception as error:
            raise CaerError(
                f"{setting} has {topic!r}, which cannot be a topic: {error}"
            ) from error

    def _log_configuration(self, pipeline: EmotionPipeline) -> None:
        engine, weights = pipeline.engine, self._settings.engine.weights
        self.get_logger().info(
            f"configured: {weights} on {engine.name} ({engine.device}, {engine.precision})"
        )
        if not engine.spec.trained:
            self.get_logger().warning(
                f"weights {weights} are a random initialisation: the emotions mean nothing"
            )

    def _activate(self) -> None:
        assert self._worker is not None
        self._worker.start()
        if self._enabled:
            self._subscribe()

    def _halt(self) -> None:
        self._unsubscribe()
        if self._worker is not None:
            self._worker.stop()

    def release(self) -> None:
        """Stop, and free all that configuring made."""
        self._halt()
        if self._emotions is not None:
            self.destroy_lifecycle_publisher(self._emotions)
        for publisher in self._debug_images.values():
            self.destroy_publisher(publisher)
        self._emotions, self._debug_images, self._worker = None, {}, None
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None
        set_read_only(self, NodeSettings, False)

    def _subscribe(self) -> None:
        assert self._worker is not None
        self._statistics.listening()
        compressed = self._settings.image_transport == "compressed"
        kind = CompressedImage if compressed else Image
        for camera, (topic, info) in self._topics.items():
            self._subscribe_to(kind, topic, partial(self._worker.put, camera), raw=True)
            self._subscribe_to(CameraInfo, info, partial(self._worker.calibrate, camera))

    def _subscribe_to(
        self, kind: type, topic: str, callback: Callable[[Any], None], raw: bool = False
    ) -> None:
        subscription = self.create_subscription(
            kind,
            topic,
            callback,
            QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            raw=raw,
        )
        self._subscriptions_of_cameras.append(subscription)

    def _unsubscribe(self) -> None:
        while self._subscriptions_of_cameras:
            self.destroy_subscription(self._subscriptions_of_cameras.pop())

    def _publish(self, result: FrameResult, frame_id: str, image: np.ndarray) -> None:
        """Answer one image; called by the worker."""
        assert self._emotions is not None
        self._emotions.publish(to_emotion_array(result, frame_id))
        debug_image = self._debug_images[result.camera]
        if debug_image.get_subscription_count():
            drawn = draw_readings(image, result.readings)
            debug_image.publish(to_image(drawn, result.stamp, frame_id))

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            settings = read_settings(self, NodeSettings, parameters)
            if self._worker is not None:
                self._worker.update(settings)
        except CaerError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for parameter in parameters:
            self._refused.pop(parameter.name, None)
        return SetParametersResult(successful=True)

    def _serve_enable(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        self._enabled = request.data
        self._unsubscribe()
        if self._enabled and self._worker is not None and self._worker.running:
            self._subscribe()
        response.success = True
        response.message = "reading images" if self._subscriptions_of_cameras else "not reading"
        return response

    def _serve_reset(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        response.success = self._worker is not None
        if self._worker is not None:
            self._worker.reset()
        response.message = "all persons forgotten" if response.success else "not configured"
        return response

    def _publish_diagnostics(self) -> None:
        name = self.get_fully_qualified_name()
        clock = self.get_clock().now()
        values, statuses = self._statistics.report(clock.nanoseconds)
        level, message = self._health()
        values = {"state": self._state, **values, **self._engine_values()}
        if self._problem:
            values["last error"] = self._problem
        if not self._subscriptions_of_cameras:
            statuses = []  # nobody listens, so silence is no fault
        own = to_status("pipeline", level, message, values)
        for status in (own, *statuses):
            status.name = f"{name}: {status.name}"
            status.hardware_id = self._pipeline.engine.device if self._pipeline else ""
        array = DiagnosticArray(status=[own, *statuses])
        array.header.stamp = clock.to_msg()
        self._diagnostics.publish(array)

    @property
    def _state(self) -> str:
        if self._worker is None:
            return "unconfigured"
        if not self._worker.running:
            return "inactive"
        return "active" if self._enabled else "disabled"

    def _health(self) -> tuple[bytes, str]:
        """Return level and message of the node as a whole."""
        doubled = self._check_name()
        if self._problem:
            return DiagnosticStatus.ERROR, self._problem
        if doubled:
            return DiagnosticStatus.WARN, doubled
        if self._pipeline is not None and not self._pipeline.engine.spec.trained:
            return DiagnosticStatus.WARN, f"{self._state}; the weights are a random initialisation"
        return DiagnosticStatus.OK, self._state

    def _check_name(self) -> str:
        """Return what is wrong where other nodes bear this one's name, and log it when new."""
        me = (self.get_name(), self.get_namespace())
        before, self._namesakes = self._namesakes, self.get_node_names_and_namespaces().count(me)
        if self._namesakes < 2:
            return ""
        doubled = (
            f"{self._namesakes} nodes are named {self.get_fully_qualified_name()}: services and "
            "parameters reach any of them; give each a name or a namespace of its own"
        )
        if self._namesakes != before:
            self.get_logger().error(doubled)
        return doubled

    def _engine_values(self) -> dict[str, str]:
        if self._pipeline is None:
            return {}
        engine = self._pipeline.engine
        return {
            "engine": engine.name,
            "device": engine.device,
            "precision": engine.precision,
            "weights": self._settings.engine.weights,
            "trained": ", ".join(engine.spec.trained) or "no, random initialisation",
        }


def keep_large_blocks() -> None:
    """Let glibc keep freed blocks of image size instead of giving them back at every message.

    Mapping and unmapping megabytes per image costs more CPU than reading it (docs/performance.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    # older glibc refuses a threshold above 32 MB (mallopt(3)), and the other two would then have
    # switched off the one that adapts itself
    for option, megabytes in (_M_MMAP_THRESHOLD, 32), (_M_TRIM_THRESHOLD, 256), (_M_TOP_PAD, 32):
        mallopt(option, megabytes << 20)


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def make_executor() -> Executor:
    """Return the executor that costs least per message; the events executor came with Kilted."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    keep_large_blocks()
    # rclpy's own handlers would end the context while the worker still publishes
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    node = CaerNode()
    executor = make_executor()
    executor.add_node(node)
    while not stop.is_set():
        # an endless wait would keep the events executor of rclpy 9.1 busy
        executor.spin_once(timeout_sec=0.2)
    # `ros2 launch` sends on the SIGINT that we got from the terminal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    node.release()
    # the events executor must let go of the node before either is destroyed
    executor.remove_node(node)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(uninstall_handlers=False)
    return 0
