# SPDX-License-Identifier: Apache-2.0
"""Images and the faces that another node found in them, brought together."""

import itertools
import random

import cv2
import numpy as np
import pytest
from rclpy.serialization import serialize_message

from caer_ros.demo.material import GROUP
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.ros.conversions import to_image
from caer_ros.ros.counts import Statistics
from caer_ros.ros.foreign import KEPT, Pairing, from_fractions, inside, to_token
from caer_ros.types import Face

SOMEBODY = (Face(1, 2, 3, 4),)


def image(stamp):
    return serialize_message(to_image(np.zeros((4, 4, 3), np.uint8), stamp, "eye"))


@pytest.fixture
def statistics(log):
    return Statistics(["/eye"], log)


@pytest.fixture
def desk(statistics):
    """Return a pairing and what it put."""
    put = []
    pairing = Pairing("/eye", lambda *pair: put.append(pair), statistics)
    return pairing, put


def balance(statistics, put):
    values = statistics.report(0)[0]
    return values["received"], len(put) + values["dropped"] + values["errors"]


@pytest.mark.parametrize("first", ["image", "faces"])
def test_an_image_waits_for_its_faces_and_they_for_it(desk, first):
    pairing, put = desk
    steps = [lambda: pairing.image(image(7)), lambda: pairing.faces(7, SOMEBODY)]
    one, two = steps if first == "image" else reversed(steps)

    one()
    assert put == []
    two()
    assert put == [(image(7), SOMEBODY)]


def test_another_stamp_is_another_image(desk):
    pairing, put = desk
    pairing.image(image(7))
    pairing.faces(8, SOMEBODY)

    assert put == []


def test_no_image_goes_back_in_time_and_what_is_passed_over_is_refused(desk, statistics, log):
    pairing, put = desk
    for stamp in (1, 2, 3):
        pairing.image(image(stamp))

    pairing.faces(3, SOMEBODY)
    pairing.faces(1, SOMEBODY)

    assert put == [(image(3), SOMEBODY)]
    assert statistics.report(0)[0]["errors: unpaired"] == 2
    assert "do they carry its very stamp" in log.errors[0]


def test_images_that_nothing_comes_for_are_refused_in_time(desk, statistics):
    pairing, put = desk
    for stamp in range(1, 101):
        pairing.image(image(stamp))

    assert statistics.report(0)[0]["errors: unpaired"] == 100 - KEPT
    pairing.close()
    assert balance(statistics, put) == (100, 100)


def test_bytes_that_are_no_message_are_refused(desk, statistics):
    pairing, put = desk
    pairing.image(b"\0\1")
    pairing.image(b"")

    assert balance(statistics, put) == (2, 2)


def test_whatever_the_order_nothing_is_lost_from_the_count(desk, statistics):
    pairing, put = desk
    chance = random.Random(1)
    for stamp in itertools.islice(itertools.count(1), 300):
        late = stamp - chance.randrange(4)
        steps = [(pairing.image, (image(stamp),)), (pairing.faces, (late, SOMEBODY))]
        for step, arguments in chance.sample(steps, chance.randrange(3)):
            step(*arguments)
    pairing.close()

    received, accounted = balance(statistics, put)
    assert received == accounted
    assert 0 < len(put) < received
    stamps = [pair[0] for pair in put]
    assert len(set(stamps)) == len(stamps)


def test_fractions_become_pixels():
    (face,) = from_fractions(np.zeros((100, 200, 3)), (Face(0.1, 0.2, 0.5, 1.0, person_id="a"),))

    assert (face.x1, face.y1, face.x2, face.y2) == (20, 20, 100, 100)
    assert face.person_id == "a"


def test_in_the_boxes_of_persons_the_own_detector_finds_the_faces(material):
    picture = cv2.imread(str(material / GROUP))
    height, width = picture.shape[:2]
    detector = FaceDetector(DetectorSettings())
    alone = max(detector.detect(picture), key=lambda face: face.x1)
    body = Face(alone.x1 - alone.width, alone.y1 - alone.height, width + 50, height + 50)

    nobody = Face(-500, -500, -400, -400)
    found = inside(detector, picture, (Face(*corners(body), person_id="b7"), nobody))
    detector.close()

    (face,) = found
    assert face.person_id == "b7"
    assert abs(face.x1 - alone.x1) < alone.width / 4
    assert abs(face.y2 - alone.y2) < alone.height / 4


def corners(face):
    return face.x1, face.y1, face.x2, face.y2


@pytest.mark.parametrize(
    ("name", "token"),
    [("", ""), ("12", "id12"), ("anna", "anna"), ("person 3/b", "person_3_b"), ("é", "_")],
)
def test_a_foreign_name_becomes_a_token_of_a_topic(name, token):
    assert to_token(name) == token
