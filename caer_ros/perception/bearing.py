# SPDX-License-Identifier: Apache-2.0
"""Where a face is seen from the camera: a unit vector, by the calibration in a CameraInfo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cv2
import numpy as np

from caer_ros.types import CaerError, Face, FrameResult

NOWHERE = (0.0, 0.0, 0.0)
"""The bearing of a face whose direction is unknown."""

_LENGTHS = {
    **dict.fromkeys(("plumb_bob", "rational_polynomial"), (4, 5, 8, 12, 14)),
    **dict.fromkeys(("equidistant", "fisheye"), (4,)),
}
"""Numbers of coefficients by distortion model (sensor_msgs/distortion_models.hpp)."""

_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-6)
"""When OpenCV's search for the undistorted point ends: steps, pixels."""


class CalibrationError(CaerError):
    """A CameraInfo that cannot be used."""


class RegionMessage(Protocol):
    """The fields of sensor_msgs/RegionOfInterest that place the image on the sensor."""

    x_offset: int
    y_offset: int
    height: int
    width: int


class CameraInfoMessage(Protocol):
    """The fields of sensor_msgs/CameraInfo that say where a pixel looks; rclpy's or rosbags'."""

    height: int
    width: int
    distortion_model: str
    d: Sequence[float]
    k: Any
    p: Any
    binning_x: int
    binning_y: int
    roi: Any


@dataclass(frozen=True)
class CameraModel:
    """A calibrated camera.

    width, height: of the images it is for, in pixels. matrix: float64 of shape (3, 3), from
    pixels of the sensor. distortion: OpenCV's coefficients, none for a rectified image.
    binning, offset: (x, y) that lead from a pixel of the image to one of the sensor.
    """

    width: int
    height: int
    matrix: np.ndarray
    distortion: np.ndarray
    fisheye: bool
    binning: tuple[int, int]
    offset: tuple[int, int]

    @classmethod
    def from_camera_info(cls, info: CameraInfoMessage, topic: str) -> CameraModel | None:
        """Return the model of the camera behind image `topic`, None where it is not calibrated.

        Where the topic's last name begins with `image_rect`, as image_proc names them, the image
        is rectified: P holds and there is no distortion.

        Raises:
            CalibrationError: where values are not finite or the distortion model is unknown.
        """
        rectified = base_topic(topic).rpartition("/")[2].startswith("image_rect")
        matrix = np.array(info.p, float).reshape(3, 4)[:, :3]
        distortion: np.ndarray = np.zeros(0)
        if not rectified:
            matrix = np.array(info.k, float).reshape(3, 3)
            # zeros are no distortion, whatever the model
            distortion = np.array(info.d if any(info.d) else [], float)
        if matrix[0, 0] == 0:
            return None
        if not (np.isfinite(matrix).all() and np.isfinite(distortion).all() and matrix[1, 1]):
            raise CalibrationError(
                f"camera matrix {matrix.ravel().tolist()} with {distortion.size} distortion "
                "coefficients is no calibration: all must be finite; calibrate the camera anew"
            )
        kind = info.distortion_model
        if distortion.size and kind not in _LENGTHS:
            raise CalibrationError(
                f"distortion model {kind[:40]!r} is not supported, known are {', '.join(_LENGTHS)}"
            )
        if distortion.size and distortion.size not in _LENGTHS[kind]:
            raise CalibrationError(
                f"distortion model {kind} has {distortion.size} coefficients, expected "
                f"{' or '.join(map(str, _LENGTHS[kind]))}"
            )
        binning = (max(info.binning_x, 1), max(info.binning_y, 1))
        roi: RegionMessage = info.roi
        return cls(
            # a region of size 0 is the whole image
            width=(roi.width or info.width) // binning[0],
            height=(roi.height or info.height) // binning[1],
            matrix=matrix,
            distortion=distortion,
            fisheye=bool(distortion.size) and _LENGTHS[kind] == (4,),
            binning=binning,
            offset=(roi.x_offset, roi.y_offset),
        )

    def bearing(self, face: Face) -> tuple[float, float, float]:
        """Return the unit vector to the middle of `face` in the camera's optical frame.

        x right, y down, z forward (REP 103); `NOWHERE` where the distortion has no inverse.
        """
        # pixel (0, 0) is centred on 0 for a calibration, and reaches from 0 to 1 for a box
        middle = ((face.x1 + face.x2) / 2, (face.y1 + face.y2) / 2)
        x, y = (m * n + o - 0.5 for m, n, o in zip(middle, self.binning, self.offset, strict=True))
        point = np.array([[[x, y]]])
        if self.fisheye:
            plane = cv2.fisheye.undistortPoints(point, self.matrix, self.distortion)
        else:
            same = np.eye(3)
            plane = cv2.undistortPointsIter(
                point, self.matrix, self.distortion, same, same, _STEPS
            )
        ray = np.append(plane.ravel(), 1.0)
        if not np.isfinite(ray).all() or np.abs(self._project(ray) - (x, y)).max() > 0.5:
            return NOWHERE
        x, y, z = (ray / np.linalg.norm(ray)).tolist()
        return x, y, z

    def _project(self, ray: np.ndarray) -> np.ndarray:
        """Return the sensor's pixel (x, y) that a ray of shape (3,) falls on."""
        none = np.zeros(3)
        project = cv2.fisheye.projectPoints if self.fisheye else cv2.projectPoints
        pixel, _ = project(ray.reshape(1, 1, 3), none, none, self.matrix, self.distortion)
        return np.asarray(pixel).ravel()


def add_bearings(result: FrameResult, model: CameraModel | None) -> FrameResult:
    """Return `result` with the bearing of each of its faces, as it is without a model.

    Raises:
        CalibrationError: where the model is for images of another size.
    """
    if model is None:
        return result
    if (result.width, result.height) != (model.width, model.height):
        raise CalibrationError(
            f"CameraInfo is for images of {model.width} x {model.height} pixels, the image has "
            f"{result.width} x {result.height}: bearings are left out"
        )
    readings = tuple(replace(r, bearing=model.bearing(r.face)) for r in result.readings)
    return replace(result, readings=readings)


def base_topic(topic: str) -> str:
    """Return an image topic without the transport that image_transport adds to it."""
    return topic.removesuffix("/compressed")


def camera_info_topic(topic: str) -> str:
    """Return the CameraInfo topic beside an image topic, as image_transport has it."""
    return beside_topic(topic, "camera_info")


def beside_topic(topic: str, name: str) -> str:
    """Return the topic of a name in an image topic's namespace."""
    return f"{base_topic(topic).rpartition('/')[0]}/{name}"
