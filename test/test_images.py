# SPDX-License-Identifier: Apache-2.0
"""Image messages as drivers send them, right and wrong."""

import struct
import sys
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caer_ros.images import (
    BYTES_PER_PIXEL,
    ImageError,
    check_stamp,
    converter,
    decode,
    to_bgr,
)


def raw(pixels, encoding, padding=0, big_endian=False, changed=()):
    """Make what a driver makes of `pixels`: rows of bytes, `padding` bytes after each."""
    height, width = pixels.shape[:2]
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = np.ascontiguousarray(stored).view(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    message = {
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": int(big_endian),
        "step": rows.shape[1],
        "data": rows.tobytes(),
    }
    return SimpleNamespace(**{**message, **dict(changed)})


def colours(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


sizes = st.integers(1, 40)


@settings(deadline=None)
@given(
    sizes, sizes, st.integers(0, 9), st.sampled_from(["bgr8", "rgb8", "bgra8", "rgba8", "8UC3"])
)
def test_every_colour_order_size_and_padding_gives_the_same_picture(
    height, width, padding, encoding
):
    picture = colours(height, width)
    stored = picture[..., ::-1] if encoding.startswith("rgb") else picture
    if encoding.endswith("a8"):
        stored = np.dstack([stored, np.full((height, width), 7, np.uint8)])

    assert np.array_equal(to_bgr(raw(stored, encoding, padding)), picture)


@settings(deadline=None)
@given(sizes, sizes, st.integers(0, 9))
def test_a_grey_camera_gives_three_equal_channels(height, width, padding):
    grey = colours(height, width)[..., 0]

    image = to_bgr(raw(grey, "mono8", padding))

    assert np.array_equal(image, np.dstack([grey] * 3))


def test_bgr8_is_not_copied():
    data = bytearray(colours(4, 5).tobytes())
    image = to_bgr(raw(colours(4, 5), "bgr8", changed={"data": data}))

    data[0] ^= 255

    assert image[0, 0, 0] == data[0]


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
def test_16_bit_grey_is_scaled_from_its_full_range(big_endian, padding):
    grey = np.array([[0, 257 * 50], [257 * 200, 65535]], np.uint16)

    image = to_bgr(raw(grey, "mono16", padding, big_endian))

    assert np.abs(image[..., 1].astype(int) - [[0, 50], [200, 255]]).max() <= 1


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "red", "blue"),
    [
        ("bayer_rggb8", (0, 0), (1, 1)),
        ("bayer_bggr8", (1, 1), (0, 0)),
        ("bayer_gbrg8", (1, 0), (0, 1)),
        ("bayer_grbg8", (0, 1), (1, 0)),
        ("bayer_rggb16", (0, 0), (1, 1)),
        ("bayer_bggr16", (1, 1), (0, 0)),
    ],
)
def test_a_bayer_mosaic_of_one_colour_becomes_that_colour(encoding, red, blue, padding):
    mosaic = np.full((12, 16), 120, np.uint16)
    mosaic[red[0] :: 2, red[1] :: 2] = 200
    mosaic[blue[0] :: 2, blue[1] :: 2] = 40
    mosaic = mosaic * 257 if encoding.endswith("16") else mosaic.astype(np.uint8)

    image = to_bgr(raw(mosaic, encoding, padding))

    assert np.abs(image[4:8, 4:8].astype(int) - (40, 120, 200)).max() <= 1


@pytest.mark.parametrize(("encoding", "luma"), [("uyvy", 1), ("yuv422", 1), ("yuyv", 0)])
def test_grey_yuv_stays_grey(encoding, luma):
    pixels = np.full((4, 6, 2), 128, np.uint8)
    pixels[..., luma] = 126  # studio range: 16 is black, 235 is white

    image = to_bgr(raw(pixels, encoding))

    assert np.abs(image.astype(int) - round((126 - 16) * 255 / 219)).max() <= 1


@pytest.mark.parametrize(
    ("fields", "cause", "named"),
    [
        ({"step": 17}, "step", "image step 17 is below width 6 x 3 bytes (rgb8)"),
        (
            {"data": b"\0" * 71},
            "data length",
            "image data has 71 bytes, height 4 x step 18 needs 72",
        ),
        ({"height": 0}, "zero size", "image is 6 x 0 pixels"),
        ({"width": 0}, "zero size", "image is 0 x 4 pixels"),
        ({"encoding": "rgb9"}, "encoding", "image encoding 'rgb9' is not supported"),
        ({"encoding": "32FC1"}, "encoding", "image encoding '32FC1' is not supported"),
        ({"encoding": ""}, "encoding", "image encoding '' is not supported"),
    ],
)
def test_a_broken_image_gives_an_error_that_names_the_value(fields, cause, named):
    with pytest.raises(ImageError) as error:
        to_bgr(raw(colours(4, 6), "rgb8", changed=fields))

    assert named in str(error.value)
    assert error.value.cause == cause


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([*BYTES_PER_PIXEL, "nonsense"]),
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 60),
    st.integers(0, 800),
    st.integers(0, 1),
)
def test_any_message_gives_a_picture_of_its_size_or_an_image_error(
    encoding, height, width, step, length, big_endian
):
    message = SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=big_endian,
        step=step,
        data=bytes(length),
    )
    try:
        image = to_bgr(message)
    except ImageError:
        return
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8


def compressed(picture: np.ndarray, kind: str) -> SimpleNamespace:
    _, data = cv2.imencode(kind, picture)
    return SimpleNamespace(format=f"bgr8; {kind[1:]} compressed bgr8", data=data.tobytes())


def test_png_comes_back_exactly_and_jpeg_closely():
    picture = cv2.resize(colours(4, 4), (64, 48), interpolation=cv2.INTER_CUBIC)

    assert np.array_equal(decode(compressed(picture, ".png")), picture)
    assert np.abs(decode(compressed(picture, ".jpg")).astype(int) - picture).mean() < 5


def test_a_grey_jpeg_gives_three_equal_channels():
    image = decode(compressed(colours(16, 16)[..., 0], ".jpg"))

    assert image.shape == (16, 16, 3)
    assert np.ptp(image, axis=2).max() == 0


@settings(deadline=None)
@given(st.floats(0.01, 0.99), st.sampled_from([".jpg", ".png"]))
def test_an_image_cut_anywhere_is_refused(share, kind):
    message = compressed(colours(48, 64), kind)
    message.data = message.data[: max(1, int(len(message.data) * share))]

    with pytest.raises(ImageError) as error:
        decode(message)

    assert str(len(message.data)) in str(error.value)


def test_a_cut_jpeg_is_refused_although_its_thumbnail_is_whole():
    whole, thumbnail = compressed(colours(48, 64), ".jpg"), compressed(colours(8, 8), ".jpg")
    segment = b"\xff\xe1" + (len(thumbnail.data) + 2).to_bytes(2, "big") + thumbnail.data
    data = whole.data[:2] + segment + whole.data[2:]

    assert decode(SimpleNamespace(format="jpeg", data=data)).shape == (48, 64, 3)
    with pytest.raises(ImageError, match="cut short"):
        decode(SimpleNamespace(format="jpeg", data=data[: len(data) * 2 // 3]))


def test_a_jpeg_with_padding_behind_its_end_is_accepted():
    message = compressed(colours(16, 24), ".jpg")
    message.data += bytes(100)

    assert decode(message).shape == (16, 24, 3)


def test_a_jpeg_with_fill_bytes_before_its_markers_is_accepted():
    message = compressed(colours(16, 24), ".jpg")
    for marker in (b"\xff\xdb", b"\xff\xda"):
        message.data = message.data.replace(marker, b"\xff\xff" + marker, 1)

    assert decode(message).shape == (16, 24, 3)


def png_of(width: int, height: int) -> bytes:
    """Return a small PNG that claims this size."""
    data = compressed(colours(8, 8), ".png").data
    header = b"IHDR" + struct.pack(">2I", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize(
    ("format_", "data", "cause"),
    [
        ("jpeg", b"", "zero size"),
        ("jpeg", b"hello, this is no image", "decoding"),
        ("png", png_of(60_000, 60_000), "decoding"),
        ("16UC1; compressedDepth png", b"\0" * 20, "encoding"),
    ],
)
def test_what_is_no_picture_is_refused(format_, data, cause):
    with pytest.raises(ImageError) as error:
        decode(SimpleNamespace(format=format_, data=data))

    assert error.value.cause == cause


@pytest.fixture
def install_cv_bridge(tmp_path, monkeypatch):
    """Return a function that installs a module cv_bridge with the given source."""

    def install(source: str) -> None:
        (tmp_path / "cv_bridge.py").write_text(source)
        monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        converter.cache_clear()

    yield install
    sys.modules.pop("cv_bridge", None)
    converter.cache_clear()


def test_a_cv_bridge_that_imports_but_does_not_work_is_passed_over(install_cv_bridge):
    install_cv_bridge(
        "class CvBridge:\n"
        "    def imgmsg_to_cv2(self, message, encoding):\n"
        "        raise AttributeError('tostring')\n"
    )

    assert converter().name == "rosbags-image"


def test_a_cv_bridge_that_crashes_on_import_is_passed_over(install_cv_bridge):
    install_cv_bridge("raise SystemError('compiled for another NumPy')\n")

    assert converter().name == "rosbags-image"


def test_a_working_cv_bridge_is_preferred(install_cv_bridge):
    install_cv_bridge(
        "from rosbags.image import image_to_cvimage\n"
        "class CvBridge:\n"
        "    imgmsg_to_cv2 = staticmethod(image_to_cvimage)\n"
    )

    assert converter().name == "cv_bridge"


def test_stamps_that_say_nothing_are_refused():
    check_stamp(5, None)
    check_stamp(5, 4)
    check_stamp(4, 5)
    with pytest.raises(ImageError, match="stamp is 0") as zero:
        check_stamp(0, None)
    assert zero.value.cause == "stamp zero"
    with pytest.raises(ImageError, match="2.000000001 is that of the image before"):
        check_stamp(2_000_000_001, 2_000_000_001)
