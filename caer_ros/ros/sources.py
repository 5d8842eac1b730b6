# SPDX-License-Identifier: Apache-2.0
"""The cameras the node listens to, and why one of them may be silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, QoSReliabilityPolicy, qos_check_compatible
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from caer_ros.node_settings import NodeSettings
from caer_ros.perception.bearing import base_topic, beside_topic
from caer_ros.ros.counts import Statistics
from caer_ros.ros.foreign import Detections, HriRegions, Pairing, import_detections
from caer_ros.ros.parameters import QOS_OVERRIDES
from caer_ros.ros.worker import Worker
from caer_ros.types import CaerError

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


@dataclass(frozen=True)
class Camera:
    """topic: of the images, with all remappings; name, info, detections: what images, CameraInfo
    and detections are subscribed by, before remapping."""

    topic: str
    name: str
    info: str
    detections: str


def find_cameras(node: Node, settings: NodeSettings) -> list[Camera]:
    """Return the cameras that the settings name.

    Raises:
        CaerError: where a name cannot be that of a topic, two lead to the same one, or the
            messages of detections are not installed.
    """
    if settings.source == "detections":
        import_detections()
    cameras: dict[str, Camera] = {}
    beside = zip_longest(
        settings.image_topics,
        settings.camera_info_topics,
        settings.detections.topics,
        fillvalue="",
    )
    for name, info, detections in beside:
        topic = _resolve(node, "image_topics", name)
        if settings.image_transport == "compressed" and topic == base_topic(topic):
            name = f"{topic}/compressed"
            topic = _resolve(node, "image_topics", name)
        if topic in cameras:
            raise CaerError(f"image_topics lead to {topic} twice, expected each once")
        info = info or beside_topic(topic, "camera_info")
        detections = detections or beside_topic(topic, "detections")
        _resolve(node, "camera_info_topics", info)
        _resolve(node, "detections.topics", detections)
        cameras[topic] = Camera(topic, name, info, detections)
    return list(cameras.values())


def idle_remapping(node: Node, settings: NodeSettings, cameras: list[Camera]) -> str:
    """Return what is wrong where the usual name of an image topic is remapped and nothing has it.

    rclpy does not show the rules, but applies them to any name.
    """
    [usual] = NodeSettings().image_topics
    expanded, remapped = (node.resolve_topic_name(usual, only_expand=x) for x in (True, False))
    topics = {camera.topic for camera in cameras}
    if expanded == remapped or remapped in topics | {base_topic(topic) for topic in topics}:
        return ""
    return (
        f"the remapping {usual}:={remapped} changes nothing, image_topics is "
        f"{settings.image_topics}: set that, or take it out of the parameter file"
    )


def _resolve(node: Node, setting: str, topic: str) -> str:
    try:
        return str(node.resolve_topic_name(topic))
    # what rclpy raises for a bad name differs between distributions
    except Exception as error:
        raise CaerError(f"{setting} has {topic!r}, which cannot be a topic: {error}") from error


class Subscriptions:
    """The subscriptions of all cameras: there while the node reads."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._images: dict[str, Subscription] = {}
        self._infos: list[Subscription] = []
        self._foreign: list[Detections | HriRegions] = []

    def __bool__(self) -> bool:
        return bool(self._images)

    def open(
        self,
        cameras: list[Camera],
        settings: NodeSettings,
        worker: Worker,
        statistics: Statistics,
    ) -> None:
        """Subscribe to images and calibrations of all cameras, and to faces found elsewhere.

        Raises:
            Exception: whatever rclpy raises where QoS overrides do not fit.
        """
        kind = CompressedImage if settings.image_transport == "compressed" else Image
        for camera in cameras:
            receive: Callable[[bytes], None] = partial(worker.receive, camera.topic)
            if settings.source != "own":
                put = partial(worker.put, camera.topic)
                pairing = Pairing(camera.topic, put, statistics)
                receive = pairing.image
                self._foreign.append(
                    HriRegions(self._node, pairing)
                    if settings.source == "hri"
                    else Detections(self._node, camera.detections, settings.detections, pairing)
                )
            self._images[camera.topic] = self._subscribe(kind, camera.name, receive, raw=True)
            calibrate = partial(worker.calibrate, camera.topic)
            self._infos.append(self._subscribe(CameraInfo, camera.info, calibrate))

    def close(self) -> None:
        for foreign in self._foreign:
            foreign.close()
        self._foreign = []
        for subscription in (*self._images.values(), *self._infos):
            self._node.destroy_subscription(subscription)
        self._images, self._infos = {}, []

    def _subscribe(
        self, kind: type, name: str, callback: Callable[[Any], None], raw: bool = False
    ) -> Subscription:
        qos = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
        return self._node.create_subscription(
            kind, name, callback, qos, qos_overriding_options=QOS_OVERRIDES, raw=raw
        )

    def describe(self) -> list[str]:
        """Return topic, type and QoS of each image subscription, as a person reads them."""
        return [
            f"{topic} ({_type_name(subscription.msg_type)}, {_quality(subscription.qos_profile)}, "
            f"depth {subscription.qos_profile.depth})"
            for topic, subscription in self._images.items()
        ]

    def explain_silence(self, topic: str) -> str:
        """Return why no image comes from a camera, as far as the graph tells."""
        node, subscription = self._node, self._images[topic]
        wanted = _type_name(subscription.msg_type)
        publishers = node.get_publishers_info_by_topic(topic)
        if not publishers:
            return f"nobody publishes {topic}{self._elsewhere(topic, wanted)}"
        fitting = [p for p in publishers if p.topic_type == wanted]
        if not fitting:
            found = publishers[0].topic_type
            remedy = _REMEDIES.get(found, "is it an image topic?")
            return f"{topic} is published as {found}, not as {wanted}: {remedy}"
        for publisher in fitting:
            compatibility, reason = qos_check_compatible(
                publisher.qos_profile, subscription.qos_profile
            )
            if compatibility != QoSCompatibility.ERROR:
                return (
                    f"{_name(publisher)} publishes {topic} with a QoS that fits, but no image "
                    "arrives: is its camera on? Large images need room in the middleware "
                    "(docs/troubleshooting.md)"
                )
        return (
            f"{_name(publisher)} publishes {topic} with {_quality(publisher.qos_profile)}, which "
            f"does not fit {_quality(subscription.qos_profile)} ({reason.strip(' ;')}): set "
            f"qos_overrides.{topic}.subscription"
        )

    def _elsewhere(self, topic: str, wanted: str) -> str:
        """Return where images are published instead."""
        types = dict(self._node.get_topic_names_and_types())
        if COMPRESSED in types.get(f"{topic}/compressed", ()):
            return f", only {topic}/compressed: set image_transport to compressed"
        if wanted == COMPRESSED and RAW in types.get(base_topic(topic), ()):
            return f", only {base_topic(topic)}: set image_transport to raw"
        others = sorted(
            name
            for name, kinds in types.items()
            if wanted in kinds
            and "/debug_image" not in name  # this node's, or another one's
            and self._node.count_publishers(name)
        )
        if not others:
            return f", nor anything else of type {wanted}: does the camera's driver run?"
        return f"; images are on {', '.join(others[:5])}: set image_topics or remap"


_REMEDIES = {
    COMPRESSED: "set image_transport to compressed, and image_topics to a name that ends in "
    "/compressed",
    RAW: "set image_transport to raw",
    "foxglove_msgs/msg/CompressedVideo": "a video stream, which this node does not decode",
    "ffmpeg_image_transport_msgs/msg/FFMPEGPacket": "a video stream, which this node does not "
    "decode",
}


def _type_name(kind: Any) -> str:
    package, _, _ = kind.__module__.partition(".")
    return f"{package}/msg/{kind.__name__}"


def _quality(qos: QoSProfile) -> str:
    policies = (qos.reliability.name, qos.durability.name)
    return " and ".join(p.lower().replace("_", " ") for p in policies)


def _name(publisher: Any) -> str:
    return f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
