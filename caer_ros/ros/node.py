# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `caer`: camera images in, `EmotionArray` out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from caer_ros.node_settings import NodeSettings
from caer_ros.perception.pipeline import EmotionPipeline
from caer_ros.perception.tracker import person_ids
from caer_ros.process import give_back_freed_memory
from caer_ros.ros.counts import Statistics
from caer_ros.ros.foreign import Locate, as_it_is, from_fractions, inside
from caer_ros.ros.health import Health
from caer_ros.ros.outputs import Outputs
from caer_ros.ros.parameters import declare_settings, read_settings, unknown_qos_overrides
from caer_ros.ros.sources import Camera, Subscriptions, find_cameras, idle_remapping
from caer_ros.ros.worker import Worker
from caer_ros.text import printable
from caer_ros.types import CaerError

STREAMS = {"both": "faces and scenes", "face": "faces only", "context": "scenes only"}
"""What weights read, by the streams of their spec."""


class CaerNode(LifecycleNode):
    """Reads cameras and publishes the emotions that the people in their images show.

    Publishes `~/emotions`, `~/events`, `~/debug_image` (while somebody subscribes) and
    `/diagnostics`; serves `~/enable` and `~/reset`. `pipeline` is the class of its pipelines, for
    a benchmark.
    """

    def __init__(
        self, pipeline: type[EmotionPipeline] = EmotionPipeline, **arguments: Any
    ) -> None:
        super().__init__("caer", **arguments)
        self._pipeline_class = pipeline
        self._active = False
        self._enabled = True
        self._settings = NodeSettings()
        self._cameras: list[Camera] = []
        self._ids: dict[str, Iterator[str]] = {}  # by prefix; they outlive a cleanup
        self._pipeline: EmotionPipeline | None = None
        self._worker: Worker | None = None
        self._outputs: Outputs | None = None
        self._statistics = Statistics((), self.get_logger())
        self._subscriptions_of_cameras = Subscriptions(self)
        self._refused = declare_settings(self, NodeSettings)
        for reason in self._refused.values():
            self.get_logger().error(f"parameter refused: {reason}")
        self.add_on_set_parameters_callback(self._on_parameters)
        self.health = Health(self)
        # steady, so that paused or missing simulated time does not silence it
        self._timer = self.create_timer(
            self.get_parameter("diagnostics_period").value,
            self._report,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self.create_service(SetBool, "~/enable", self._serve_enable)
        self.create_service(Trigger, "~/reset", self._serve_reset)

    def bring_up(self) -> None:
        """Configure and activate where `autostart` asks for it, else say what is waited for."""
        if not self.get_parameter("autostart").value:
            self.get_logger().info(
                f"unconfigured: waiting for a lifecycle manager, or for ros2 lifecycle set "
                f"{self.get_fully_qualified_name()} configure (autostart is false)"
            )
        elif self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # Transitions: a failure is one log line and FAILURE, and leaves things as they were.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, load detector, weights and engine, run them once."""
        return self._attempt("configure", self._configure, self.release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and subscribe the cameras."""
        super().on_activate(state)  # the publisher's
        return self._attempt("activate", self._activate, self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop the worker."""
        result = self._attempt("deactivate", self._deactivate)
        super().on_deactivate(state)  # the publisher's, now that the last answer is out
        return result

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
        self.health.problem = ""
        try:
            action()
        # anything raised past here would leave the state machine in limbo
        except Exception as error:
            undo()
            self.health.problem = f"cannot {what}: {_in_words(error)}"
            self.get_logger().error(self.health.problem)
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        if self._refused:
            raise CaerError("; ".join(self._refused.values()))
        self._settings = read_settings(self, NodeSettings)
        self._cameras = find_cameras(self, self._settings)
        if complaint := idle_remapping(self, self._settings, self._cameras):
            self.get_logger().warning(complaint)
        topics = [camera.topic for camera in self._cameras]
        self._timer.timer_period_ns = round(self._settings.diagnostics_period * 1e9)
        prefix = self._settings.tracker.id_prefix
        ids = self._ids.setdefault(prefix, person_ids(prefix))
        self._pipeline = self._pipeline_class.from_settings(self._settings, ids)
        self._pipeline.warm_up()
        give_back_freed_memory()
        self._statistics = Statistics(topics, self.get_logger())
        self._outputs = Outputs(self, topics, self._settings)
        self._worker = Worker(
            self._pipeline,
            compressed=self._settings.image_transport == "compressed",
            max_pixels=self._settings.max_pixels,
            locate=self._choose_locate(self._pipeline),
            output=self._outputs,
            statistics=self._statistics,
            now=lambda: self.get_clock().now().nanoseconds,
        )
        self._log_configuration(self._pipeline)

    def _choose_locate(self, pipeline: EmotionPipeline) -> Locate:
        """Return how faces from elsewhere become faces in an image."""
        if self._settings.source == "hri":
            return from_fractions
        persons = self._settings.detections.kind == "persons"
        return partial(inside, pipeline.detector) if persons else as_it_is

    def _log_configuration(self, pipeline: EmotionPipeline) -> None:
        engine, weights = pipeline.engine, self._settings.engine.weights
        self.get_logger().info(
            f"configured: {weights} on {engine.name} ({engine.device}, {engine.precision}), "
            f"reads {STREAMS[engine.spec.streams]}"
        )
        if not engine.spec.trained:
            self.get_logger().warning(
                f"weights {weights} are a random initialisation: the emotions mean nothing"
            )

    def _activate(self) -> None:
        self._active = True
        if self._enabled:
            self._listen()

    def _deactivate(self) -> None:
        self._active = False
        self._halt()

    def _listen(self) -> None:
        assert self._worker is not None
        self._statistics.listening()
        self._worker.start()
        self._subscriptions_of_cameras.open(
            self._cameras, self._settings, self._worker, self._statistics
        )
        for described in self._subscriptions_of_cameras.describe():
            self.get_logger().info(f"reading {described}")
        for complaint in unknown_qos_overrides(self):
            self.get_logger().warning(complaint)

    def _halt(self) -> None:
        self._subscriptions_of_cameras.close()
        if self._worker is not None:
            self._worker.stop()

    def release(self) -> None:
        """Stop, and free all that configuring made."""
        self._deactivate()
        self._worker = None
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            settings = read_settings(self, NodeSettings, parameters)
            if self._worker is not None and self._outputs is not None:
                self._worker.update(settings)
                self._outputs.update(settings)
        except CaerError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for parameter in parameters:
            self._refused.pop(parameter.name, None)
        return SetParametersResult(successful=True)

    def _serve_enable(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        self._enabled = request.data
        response.success = True
        try:
            if not self._enabled:
                self._halt()
            elif self._active and not self._subscriptions_of_cameras:
                self._listen()
            response.message = (
                "reading images" if self._subscriptions_of_cameras else "not reading"
            )
        # a QoS override that does not fit, for one
        except Exception as error:
            self._enabled = False
            self._halt()
            response.success, response.message = False, _in_words(error)
        return response

    def _serve_reset(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        response.success = self._worker is not None
        if self._worker is not None:
            self._worker.reset()
        response.message = "all persons forgotten" if response.success else "not configured"
        return response

    def _report(self) -> None:
        engine = self._pipeline.engine if self._pipeline else None
        weights = self._settings.engine.weights
        complaint = self._outputs.complaint() if self._outputs else ""
        self.health.report(
            self._state,
            self._statistics,
            self._subscriptions_of_cameras,
            engine,
            weights,
            complaint,
        )

    @property
    def _state(self) -> str:
        if self._worker is None:
            return "unconfigured"
        if not self._active:
            return "inactive"
        if not self._enabled:
            return "disabled"
        return "active" if self._worker.alive else "broken"


def _in_words(error: Exception) -> str:
    kind = "" if isinstance(error, CaerError) else f"{type(error).__name__}: "
    return printable(f"{kind}{' '.join(str(error).split())}", 1000)
