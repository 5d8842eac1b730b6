# SPDX-License-Identifier: Apache-2.0
"""Serialized images read in place, held against rclpy's own deserialization."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from caer_ros.images import ImageError
from caer_ros.ros.conversions import to_header
from caer_ros.ros.serialized import read_compressed_image, read_image
from caer_ros.types import SECOND

texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
stamps = st.integers(-(2**31) * SECOND, 2**31 * SECOND - 1)
numbers = st.integers(0, 2**32 - 1)


@given(
    stamps, texts, numbers, numbers, texts, st.integers(0, 255), numbers, st.binary(max_size=99)
)
def test_an_image_is_read_as_it_was_written(
    stamp, frame_id, height, width, encoding, is_bigendian, step, data
):
    message = Image(
        header=to_header(stamp, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=is_bigendian,
        step=step,
        data=data,
    )

    read = read_image(serialize_message(message))

    assert (read.stamp, read.frame_id, read.encoding) == (stamp, frame_id, encoding)
    assert (read.height, read.width, read.step) == (height, width, step)
    assert read.is_bigendian == is_bigendian
    assert bytes(read.data) == data


@given(stamps, texts, texts, st.binary(max_size=99))
def test_a_compressed_image_is_read_as_it_was_written(stamp, frame_id, format_, data):
    message = CompressedImage(header=to_header(stamp, frame_id), format=format_, data=data)

    read = read_compressed_image(serialize_message(message))

    assert (read.stamp, read.frame_id, read.format) == (stamp, frame_id, format_)
    assert bytes(read.data) == data


def test_pixels_are_not_copied():
    serialized = serialize_message(Image(data=bytes(1000)))

    assert np.shares_memory(
        np.frombuffer(read_image(serialized).data, np.uint8), np.frombuffer(serialized, np.uint8)
    )


def big_endian_image() -> bytes:
    """Return an Image as a big endian machine would send it."""
    body = b"".join(
        [
            (5).to_bytes(4, "big"),
            (6).to_bytes(4, "big"),
            (4).to_bytes(4, "big"),
            b"eye\0",
            (2).to_bytes(4, "big"),
            (3).to_bytes(4, "big"),
            (6).to_bytes(4, "big"),
            b"mono8\0",
            b"\0",
            b"\0",  # aligned to 4
            (3).to_bytes(4, "big"),
            (6).to_bytes(4, "big"),
            bytes(range(6)),
        ]
    )
    return b"\0\0\0\0" + body


def test_what_a_big_endian_machine_sends_is_read_too():
    read = read_image(big_endian_image())

    assert (read.stamp, read.frame_id) == (5 * SECOND + 6, "eye")
    assert (read.height, read.width, read.encoding, read.step) == (2, 3, "mono8", 3)
    assert bytes(read.data) == bytes(range(6))


@pytest.mark.parametrize("read", [read_image, read_compressed_image])
def test_bytes_that_end_too_early_are_an_error_at_any_place(read):
    kind = Image if read is read_image else CompressedImage
    message = kind(header=to_header(1, "eye"), data=bytes(50))
    serialized = serialize_message(message)

    for length in range(4, len(serialized) - 4, 3):
        with pytest.raises(ImageError) as error:
            read(serialized[:length])
        assert error.value.cause == "malformed"


@pytest.mark.parametrize("read", [read_image, read_compressed_image])
@pytest.mark.parametrize(
    "message",
    [
        "",
        "00",
        "00 01 00",
        "00 00 00 05",  # rclpy's deserializer ends the process here, with SIGSEGV
        *[f"{begin} 00 00" + 100 * " 00" for begin in ("00 02", "00 07", "00 0b", "ff 01")],
    ],
)
def test_what_is_no_plain_cdr_is_refused(read, message):
    with pytest.raises(ImageError) as error:
        read(bytes.fromhex(message))

    assert error.value.cause == "malformed"
