# SPDX-License-Identifier: Apache-2.0
"""Settings of the node: those of the pipeline and a few of its own. No rclpy is needed here, so
that replay reads the node's parameter file on a machine without ROS."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from caer_ros.perception.events import EventSettings
from caer_ros.perception.pipeline import PipelineSettings
from caer_ros.settings import SettingError, build, describe, read_parameters, setting


@dataclass(frozen=True)
class DetectionSettings:
    """Faces or persons that another node detects, for `source: detections`."""

    topics: list[str] = setting(
        [""],
        "topics of vision_msgs/Detection2DArray, in the order of image_topics; where one is "
        "empty or missing, detections beside the image topic",
    )
    kind: str = setting(
        "faces",
        "what the boxes hold: faces, or persons, in whose boxes the own detector looks for a face",
        choices=("faces", "persons"),
    )
    class_id: str = setting("", "class_id of the detections that count; empty for all")


@dataclass(frozen=True)
class HriSettings:
    """ROS4HRI (REP 155)."""

    publish: bool = setting(
        False, "publish faces and expressions under /humans/faces too; needs hri_msgs"
    )
    width: int = setting(
        128,
        "width in pixels of the pictures on /humans/faces/<id>/cropped",
        minimum=1,
        maximum=4096,
    )
    height: int = setting(128, "height of those pictures in pixels", minimum=1, maximum=4096)


@dataclass(frozen=True)
class NodeSettings(PipelineSettings):
    """What `config/caer.yaml` holds."""

    events: EventSettings = field(default_factory=EventSettings)
    hri: HriSettings = field(default_factory=HriSettings)
    detections: DetectionSettings = field(default_factory=DetectionSettings)
    source: str = setting(
        "own",
        "where faces come from: the own detector; detections of another node; or hri, the regions "
        "under /humans/faces, whose expression is then published too",
        choices=("own", "detections", "hri"),
    )
    image_topics: list[str] = setting(
        ["image"], "camera topics, one or several; relative names can be remapped"
    )
    image_transport: str = setting(
        "raw",
        "raw reads sensor_msgs/Image; compressed reads sensor_msgs/CompressedImage (JPEG, PNG, "
        "WebP) from <topic>/compressed, or from the topic itself where it ends so",
        choices=("raw", "compressed"),
    )
    image_max_megapixels: float = setting(
        64.0,
        "most pixels of an image, in millions; a header that claims more is refused before "
        "anything is decoded",
        minimum=0.1,
        maximum=1000.0,
    )
    camera_info_topics: list[str] = setting(
        [""],
        "topics of sensor_msgs/CameraInfo, in the order of image_topics; where one is empty or "
        "missing, camera_info beside the image topic",
    )
    autostart: bool = setting(
        False,
        "configure and activate at the start; false leaves both to a lifecycle manager. The "
        "launch file sets it by its own argument; a change while the node runs does nothing",
        live=True,
    )
    diagnostics_period: float = setting(
        1.0, "seconds between messages on /diagnostics", minimum=0.1, maximum=60.0
    )

    @property
    def max_pixels(self) -> int:
        """`image_max_megapixels` in pixels."""
        return int(self.image_max_megapixels * 1e6)

    def __post_init__(self) -> None:
        topics = self.image_topics
        if not topics or len(set(topics)) < len(topics):
            raise SettingError(f"image_topics is {topics}, expected one or more, each once")
        for name, given in (
            ("camera_info_topics", self.camera_info_topics),
            ("detections.topics", self.detections.topics),
        ):
            if len(given) > len(topics):
                raise SettingError(f"{name} has {len(given)} names for {len(topics)} image_topics")
        if self.source == "hri" and len(topics) > 1:
            raise SettingError(
                "source is hri, which knows one camera, and image_topics has "
                f"{len(topics)}: start a node for each"
            )
        if self.source == "hri" and self.hri.publish:
            raise SettingError(
                "source is hri and hri.publish is true: the faces are published by who finds them"
            )


def load_settings(config: Path | None) -> NodeSettings:
    """Return the settings of the node's parameter file, or without one the defaults.

    Raises:
        SettingError: where the file cannot be read, or a setting is unknown or does not fit.
    """
    if config is None:
        return NodeSettings()
    values = read_parameters(config)
    try:
        return build(NodeSettings, values)
    except SettingError as error:
        raise SettingError(f"{config}: {error}") from error


PAGE = """\
# Parameters

Set them in a parameter file; [config/caer.yaml](../config/caer.yaml) holds them all. *Live* ones
can change while the node runs (`ros2 param set /caer detector.min_score 0.7`); a value that does
not fit is refused with the reason. `make parameters` writes this page from the settings."""


def to_markdown() -> str:
    """Return the page of all parameters, one table for each group."""
    parts = [PAGE]
    group = None
    for leaf in describe(NodeSettings):
        room, dot, _ = leaf.name.rpartition(".")
        if room != group:
            group = room
            parts.append(f"\n## {room if dot else 'The node itself'}\n")
            parts.append("| parameter | default | allowed | live | |\n|---|---|---|---|---|")
        default = yaml.safe_dump(leaf.default, default_flow_style=True).split("\n")[0]
        allowed = ", ".join(leaf.choices)
        if leaf.minimum is not None or leaf.maximum is not None:
            allowed = f"{leaf.minimum:g} to {leaf.maximum:g}"
        live = "yes" if leaf.live else ""
        parts.append(f"| `{leaf.name}` | `{default}` | {allowed} | {live} | {leaf.description} |")
    return "\n".join(parts)


if __name__ == "__main__":
    print(to_markdown())
