# SPDX-License-Identifier: Apache-2.0
"""Images as broken drivers send them: named, counted, and the next good one is served."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage

from caer_ros.ros.conversions import to_header, to_image
from caer_ros.types import SECOND


def changed(message, **fields):
    for name, value in fields.items():
        setattr(message, name, value)
    return message


BROKEN = {
    "step": ({"step": 900}, "image step 900 is below width 320 x 3 bytes (bgr8)"),
    "data length": ({"data": b"\0" * 1000}, "image data has 1000 bytes, 240 rows x step 960 need"),
    "encoding": ({"encoding": "rgb9"}, "image encoding 'rgb9' is not supported"),
    "zero size": ({"width": 0}, "image is 0 x 240 pixels"),
}


@pytest.mark.parametrize("cause", BROKEN)
def test_a_broken_image_is_named_and_counted_and_the_next_one_is_served(served, cause):
    fields, named = BROKEN[cause]

    served.spin(
        lambda: served.values("/image").get(f"errors: {cause}"),
        f"an error of cause {cause} is counted",
        again=lambda: served.publish(changed(served.picture(), **fields)),
    )

    served.process.wait_for(named)
    served.spin(lambda: named in served.values("/image")["last error"])
    assert served.answer(served.picture).image_width == 320
    assert not served.process.ended


def test_errors_of_one_cause_are_logged_once_in_a_while_and_all_are_counted(served):
    encoding = "throttled"
    before = served.process.output.count("is not supported")

    served.spin(
        lambda: int(served.values().get("errors: encoding", "0")) >= 20,
        "20 errors are counted",
        again=lambda: [
            served.publish(changed(served.picture(), encoding=encoding)) for _ in range(10)
        ],
    )

    # the log may speak every 5 s, and a slow machine may need some of those for 20 images
    assert served.process.output.count("is not supported") - before < 10
    served.answer(served.picture)


@pytest.mark.parametrize(
    ("encoding", "bytes_per_pixel"), [("mono8", 1), ("bayer_rggb8", 1), ("mono16", 2), ("uyvy", 2)]
)
def test_grey_bayer_16_bit_and_yuv_cameras_are_served(served, encoding, bytes_per_pixel):
    def make():
        return changed(
            served.picture(),
            encoding=encoding,
            step=320 * bytes_per_pixel,
            data=b"\x50" * (240 * 320 * bytes_per_pixel),
        )

    answer = served.answer(make)

    assert (answer.image_width, answer.image_height) == (320, 240)


@pytest.mark.parametrize("message", ["00 00 00 05", "00 02 00 ff", "00 01 00 00", "ff"])
def test_bytes_that_are_no_message_end_no_node(served, message):
    served.answer(served.picture)
    before = int(served.values("/image").get("errors: malformed", "0"))

    served.spin(
        lambda: int(served.values("/image").get("errors: malformed", "0")) > before,
        again=lambda: served.publish(bytes.fromhex(message)),
    )

    served.answer(served.picture)
    assert not served.process.ended


def test_a_stamp_of_zero_is_refused(served):
    served.spin(
        lambda: served.values("/image").get("errors: stamp zero"),
        again=lambda: served.publish(changed(served.picture(), header=to_header(0, "head"))),
    )

    served.process.wait_for("image stamp is 0")
    served.answer(served.picture)


def test_an_image_with_the_stamp_of_the_one_before_is_refused(served):
    again = served.picture()
    served.answer(lambda: again)

    served.spin(
        lambda: served.values("/image").get("errors: stamp repeated"),
        again=lambda: served.publish(again),
    )

    stamp = again.header.stamp
    served.process.wait_for(f"image stamp {stamp.sec}.{stamp.nanosec:09d} is that of")
    served.answer(served.picture)


def test_an_hour_ahead_is_doubted_and_the_way_back_resets_once(served):
    served.answer(served.picture)
    resets = int(served.spin(lambda: served.values("/image")["stamp resets"]))

    ahead = served.picture(served.now() + 3600 * SECOND)
    served.answer(lambda: ahead)
    served.spin(lambda: served.values("/image").get("warnings: stamp ahead"))
    served.answer(served.picture)
    served.answer(served.picture)

    served.spin(lambda: int(served.values("/image")["stamp resets"]) > resets)
    assert int(served.values("/image")["stamp resets"]) == resets + 1
    served.process.wait_for("s ahead of the node's clock")
    served.process.wait_for(f"image stamp jumped back from {ahead.header.stamp.sec}.")


def test_a_camera_may_change_its_resolution(served):
    served.answer(served.picture)

    small = served.answer(lambda: served.picture(shape=(120, 160)))

    assert (small.image_width, small.image_height) == (160, 120)
    served.spin(lambda: served.values("/image").get("warnings: size changed"))
    served.process.wait_for("image size changed from 320 x 240 to 160 x 120")
    served.answer(served.picture)


def test_nobody_in_the_image_is_an_answer_with_the_header_of_the_image(served):
    stamp = served.now()

    answer = served.answer(lambda: served.picture(stamp, "left_eye"))

    assert answer.emotions == []
    assert answer.header.frame_id == "left_eye"
    assert answer.header.stamp == Time(sec=stamp // SECOND, nanosec=stamp % SECOND)


def test_a_jpeg_cut_in_half_is_refused_and_the_next_one_served(graph):
    node = graph.start_active_node("-p", "image_transport:=compressed", "-r", "image:=/eye")
    pixels = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()

    def message(data: bytes) -> CompressedImage:
        header = to_header(graph.now(), "head")
        return CompressedImage(header=header, format="bgr8; jpeg compressed bgr8", data=data)

    half = jpeg[: len(jpeg) // 2]
    graph.spin(
        lambda: graph.values("/eye/compressed").get("errors: truncated"),
        again=lambda: graph.publish(message(half), "/eye/compressed"),
    )

    node.wait_for(f"{len(half)} bytes are cut short")
    whole = graph.answer(lambda: message(jpeg), "/eye/compressed")
    assert (whole.image_width, whole.image_height) == (320, 240)
    assert whole.camera == "/eye/compressed"


def test_a_header_that_claims_more_than_allowed_is_refused(graph):
    node = graph.start_active_node(
        *("-p", "image_transport:=compressed", "-p", "image_max_megapixels:=0.1")
    )

    def picture(height: int) -> CompressedImage:
        jpeg = cv2.imencode(".jpg", np.full((height, 320, 3), 90, np.uint8))[1]
        header = to_header(graph.now(), "head")
        return CompressedImage(header=header, format="jpeg", data=jpeg.tobytes())

    graph.spin(
        lambda: graph.values("/image/compressed").get("errors: too large"),
        again=lambda: graph.publish(picture(400), "/image/compressed"),
    )

    node.wait_for("image is 320 x 400 pixels, 0.1 megapixels are allowed")
    assert graph.answer(lambda: picture(240), "/image/compressed").image_height == 240


def test_two_cameras_of_one_frame_are_answered_apart(graph):
    graph.start_active_node("-p", 'image_topics:=["/left", "/right"]')

    left = graph.answer(lambda: graph.picture(frame_id="eye"), "/left")
    right = graph.answer(lambda: graph.picture(frame_id="eye", shape=(120, 160)), "/right")

    assert (left.image_width, right.image_width) == (320, 160)
    assert (left.camera, right.camera) == ("/left", "/right")
    for camera in ("/left", "/right"):
        graph.spin(lambda camera=camera: int(graph.values(camera)["processed"]) >= 1)


def test_sixty_faces_at_once_are_read_up_to_the_limit(graph, material):
    group = cv2.imread(str(material / "multi_face.jpg"))
    # twelve times five people
    tile = cv2.resize(group, (320, 320 * group.shape[0] // group.shape[1]))
    crowd = np.tile(tile, (3, 4, 1))
    node = graph.start_active_node(
        *("-p", "tracker.birth:=0.0", "-p", "detector.min_size:=5", "-p", "tracker.max_persons:=8")
    )

    answer = graph.spin(
        lambda: next((e for e in graph.emotions if len(e.emotions) == 8), None),
        "8 persons are read",
        again=lambda: graph.publish(to_image(crowd, graph.now(), "head")),
    )

    assert len({e.person_id for e in answer.emotions}) == 8
    graph.spin(lambda: graph.values("/image").get("warnings: crowd"))
    node.wait_for("8 persons are in the image")
    assert graph.answer(graph.picture)
