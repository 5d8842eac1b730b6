# SPDX-License-Identifier: Apache-2.0
"""Where faces are seen, against geometry that is worked out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo

from caer_ros.perception.bearing import (
    NOWHERE,
    CalibrationError,
    CameraModel,
    add_bearings,
    base_topic,
    camera_info_topic,
)
from caer_ros.types import Emotion, Face, FrameResult, Reading

PLUMB_BOB = (-0.3, 0.1, 0.001, -0.002, -0.02)
RATIONAL = (0.4, 0.05, 0.0005, -0.0007, 0.01, 0.7, 0.1, 0.02)
EQUIDISTANT = (0.05, -0.01, 0.003, -0.0005)


def info(**fields):
    """Return a calibration of 640x480 with a focal length of 500 about its middle."""
    message = CameraInfo(width=640, height=480, distortion_model="plumb_bob")
    message.k = [500.0, 0.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0]
    message.p = [400.0, 0.0, 300.0, 0.0, 0.0, 400.0, 200.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def model(topic="/image_raw", **fields):
    return CameraModel.from_camera_info(info(**fields), topic)


def face_at(x, y):
    """Return a face whose middle is the centre of pixel (x, y), counted from 0."""
    return Face(x + 0.5 - 20, y + 0.5 - 30, x + 0.5 + 20, y + 0.5 + 30)


def distort(kind, coefficients, x, y):
    """Return where a distortion model moves the point (x, y) of the plane z = 1.

    The formulas are those of OpenCV's calib3d and fisheye documentation.
    """
    r = math.hypot(x, y)
    if kind == "equidistant":
        theta = math.atan(r)
        k1, k2, k3, k4 = coefficients
        scaled = theta * (1 + k1 * theta**2 + k2 * theta**4 + k3 * theta**6 + k4 * theta**8)
        return (x * scaled / r, y * scaled / r) if r else (x, y)
    k1, k2, p1, p2, k3, *below = coefficients
    k4, k5, k6 = below or (0, 0, 0)
    radial = (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) / (1 + k4 * r**2 + k5 * r**4 + k6 * r**6)
    return (
        x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2),
        y * radial + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y,
    )


def test_the_middle_of_the_image_is_straight_ahead():
    assert model().bearing(Face(0, 0, 640, 480)) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("pixel", "ray"),
    [
        ((319.5 + 500, 239.5), (1, 0, 1)),
        ((319.5, 239.5 + 500), (0, 1, 1)),
        ((319.5 - 250, 239.5 + 125), (-0.5, 0.25, 1)),
    ],
)
def test_without_distortion_the_focal_length_alone_counts(pixel, ray):
    assert model().bearing(face_at(*pixel)) == pytest.approx(ray / np.linalg.norm(ray), abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "coefficients"),
    [
        ("plumb_bob", PLUMB_BOB),
        ("rational_polynomial", RATIONAL),
        ("equidistant", EQUIDISTANT),
    ],
)
@given(st.floats(-0.6, 0.6), st.floats(-0.45, 0.45))
def test_the_way_through_the_lens_is_taken_back(kind, coefficients, x, y):
    there = distort(kind, coefficients, x, y)
    pixel = (500 * there[0] + 319.5, 500 * there[1] + 239.5)

    found = model(distortion_model=kind, d=list(coefficients)).bearing(face_at(*pixel))

    expected = np.array([x, y, 1]) / np.linalg.norm([x, y, 1])
    assert found == pytest.approx(expected, abs=2e-6)


def test_a_rectified_image_takes_p_and_no_distortion():
    rectified = model("/left/image_rect_color/compressed", d=list(PLUMB_BOB))

    assert rectified.bearing(face_at(300, 200)) == (0.0, 0.0, 1.0)
    ray = np.array([1.0, 0.0, 1.0]) / math.sqrt(2)
    assert rectified.bearing(face_at(700, 200)) == pytest.approx(ray)


def test_binning_and_region_lead_back_to_the_sensor():
    message = info(binning_x=2, binning_y=2)
    message.roi.x_offset, message.roi.y_offset = 320, 240
    message.roi.width, message.roi.height = 320, 240
    part = CameraModel.from_camera_info(message, "/image_raw")

    assert (part.width, part.height) == (160, 120)
    # the region's corner is the sensor's middle, to half a pixel of the sensor
    corner = Face(-10, -10, 10, 10)
    assert part.bearing(corner) == pytest.approx((0, 0, 1), abs=1e-9)
    ray = np.array([200 / 500, 0, 1]) / math.hypot(0.4, 1)
    assert part.bearing(Face(90, -10, 110, 10)) == pytest.approx(ray, abs=1e-9)


def test_a_point_that_no_ray_reaches_has_no_bearing():
    # this lens maps nothing so far out: the largest radius it reaches is 0.385
    folded = model(d=[-1.0, 0.0, 0.0, 0.0, 0.0])

    assert folded.bearing(face_at(319.5 + 450, 239.5)) == NOWHERE
    assert folded.bearing(face_at(319.5 + 100, 239.5)) != NOWHERE


def test_a_camera_without_calibration_has_no_model():
    assert CameraModel.from_camera_info(CameraInfo(width=640, height=480), "/image_raw") is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"d": [math.nan] * 5}, "is no calibration"),
        ({"k": [500.0, 0, 0, 0, 0.0, 0, 0, 0, 1]}, "is no calibration"),
        ({"d": [0.1] * 5, "distortion_model": "fov"}, "'fov' is not supported, known are"),
        ({"d": [0.1] * 3}, "plumb_bob has 3 coefficients, expected 4 or 5"),
        ({"d": [0.1] * 5, "distortion_model": "equidistant"}, "has 5 coefficients, expected 4"),
    ],
)
def test_what_is_no_calibration_is_named(fields, named):
    with pytest.raises(CalibrationError, match=named):
        model(**fields)


def test_zeros_need_no_model_by_name():
    assert model(distortion_model="", d=[0.0] * 5).bearing(Face(0, 0, 640, 480)) == (0, 0, 1)


def reading(face):
    return Reading("p1", face, Emotion.SAD, 1.0, (0.0,) * 7, 1.0, 0.0, 1, 0, 0)


def test_a_result_gets_the_bearing_of_each_face():
    result = FrameResult("/c", 1, 640, 480, (reading(Face(0, 0, 640, 480)),))

    assert add_bearings(result, None) is result
    (found,) = add_bearings(result, model()).readings
    assert found.bearing == (0.0, 0.0, 1.0)
    assert found.face == result.readings[0].face


def test_a_calibration_for_another_size_is_refused():
    result = FrameResult("/c", 1, 320, 240, ())

    with pytest.raises(CalibrationError, match="is for images of 640 x 480 pixels, the image has"):
        add_bearings(result, model())


def test_any_object_with_the_fields_will_do():
    message = info()
    fields = {name: getattr(message, name) for name in message.get_fields_and_field_types()}

    found = CameraModel.from_camera_info(SimpleNamespace(**fields), "/image_raw")

    assert found.bearing(Face(0, 0, 640, 480)) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("topic", "base", "beside"),
    [
        ("/front/image_raw", "/front/image_raw", "/front/camera_info"),
        ("/front/image_raw/compressed", "/front/image_raw", "/front/camera_info"),
        ("/image", "/image", "/camera_info"),
    ],
)
def test_the_calibration_lies_beside_the_image(topic, base, beside):
    assert base_topic(topic) == base
    assert camera_info_topic(topic) == beside
