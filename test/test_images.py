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

from caer_ros import images
from caer_ros.images import ENCODINGS, ImageError, check_stamp, decode, to_bgr


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


def studio(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return luma and the two chroma planes of a BGR picture (ITU-R BT.601, studio range)."""
    blue, green, red = np.moveaxis(picture.astype(float) / 255, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = 16 + 219 * luma, 128 + 112 * (blue - luma) / 0.886, 128 + 112 * (red - luma) / 0.701
    return tuple(plane.round().astype(np.uint8) for plane in planes)


@pytest.mark.parametrize("padding", [0, 8])
@pytest.mark.parametrize(
    "encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21", "nv24"]
)
def test_yuv_of_every_layout_keeps_its_colours(encoding, padding):
    picture = np.full((4, 8, 3), (40, 120, 200), np.uint8)
    picture[:, 4:] = (180, 60, 90)
    y, cb, cr = studio(picture)
    if encoding.startswith("nv"):
        cut = 1 if encoding == "nv24" else 2
        chroma = [cr, cb] if encoding == "nv21" else [cb, cr]
        chroma = np.dstack([plane[::cut, ::cut] for plane in chroma])
        # a row of chroma takes as many bytes as the rows of luma it stands beside
        chroma = chroma.reshape(chroma.shape[0], -1)
        across = 2 * padding if encoding == "nv24" else padding
        data = np.pad(y, ((0, 0), (0, padding))).tobytes()
        data += np.pad(chroma, ((0, 0), (0, across))).tobytes()
        message = raw(y, encoding, padding, changed={"data": data})
    else:
        chroma = np.where(np.arange(8) % 2, cr, cb).astype(np.uint8)
        first_luma = encoding.startswith("yuyv") or encoding == "yuv422_yuy2"
        pair = [y, chroma] if first_luma else [chroma, y]
        message = raw(np.dstack(pair), encoding, padding)

    image = to_bgr(message)

    assert image.shape == picture.shape
    assert np.abs(image.astype(int) - picture).max() <= 3


@pytest.mark.parametrize("encoding", ["8UC1", "8UC4"])
def test_unnamed_channels_are_taken_as_grey_and_bgra(encoding):
    stored = np.dstack([colours(5, 7), np.full((5, 7), 9, np.uint8)])
    grey = stored[..., 0]

    image = to_bgr(raw(grey if encoding == "8UC1" else stored, encoding))

    assert np.array_equal(image, np.dstack([grey] * 3) if encoding == "8UC1" else stored[..., :3])


def test_the_size_is_limited_and_the_limit_can_be_raised():
    with pytest.raises(ImageError, match="6 x 4 pixels, 2e-05 megapixels") as error:
        to_bgr(raw(colours(4, 6), "bgr8"), max_pixels=20)
    assert error.value.cause == "too large"
    assert to_bgr(raw(colours(4, 6), "bgr8"), max_pixels=24).shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("fields", "cause", "named"),
    [
        ({"step": 17}, "step", "image step 17 is below width 6 x 3 bytes (rgb8)"),
        (
            {"data": b"\0" * 71},
            "data length",
            "image data has 71 bytes, 4 rows x step 18 need 72",
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
    st.sampled_from([*ENCODINGS, "nonsense"]),
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


def compressed(picture: np.ndarray, kind: str, *options: int) -> SimpleNamespace:
    _, data = cv2.imencode(kind, picture, options)
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
@given(st.floats(0.01, 0.99), st.sampled_from([".jpg", ".png", ".webp"]))
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


def claiming(kind: str, width: int, height: int) -> SimpleNamespace:
    """Return a small picture whose header claims this size."""
    message = compressed(colours(8, 8), kind.removeprefix("lossy "))
    data = bytearray(message.data)
    if kind == ".jpg":
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">2H", height, width)
    elif kind == ".png":
        header = b"IHDR" + struct.pack(">2I", width, height) + data[24:29]
        data[12:33] = header + struct.pack(">I", zlib.crc32(header))
    elif kind == ".webp":
        data[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    else:
        data = bytearray(compressed(colours(8, 8), ".webp", cv2.IMWRITE_WEBP_QUALITY, 50).data)
        data[26:30] = struct.pack("<2H", width, height)
    message.data = bytes(data)
    return message


CONTAINERS = [".jpg", ".png", ".webp", "lossy .webp"]


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_header_that_claims_too_much_is_refused_before_decoding(kind, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))

    with pytest.raises(ImageError, match="16000 x 15000 pixels, 64 megapixels") as error:
        decode(claiming(kind, 16_000, 15_000))
    assert error.value.cause == "too large"


@pytest.mark.parametrize("kind", CONTAINERS)
def test_the_limit_is_met_by_the_size_that_is_decoded(kind):
    message = claiming(kind, 8, 8)
    assert decode(message, max_pixels=64).shape == (8, 8, 3)
    with pytest.raises(ImageError, match="8 x 8 pixels"):
        decode(message, max_pixels=63)


def test_a_webp_with_transparency_has_its_size_elsewhere():
    picture = np.dstack([colours(10, 30), np.arange(300, dtype=np.uint8).reshape(10, 30)])
    message = compressed(picture, ".webp", cv2.IMWRITE_WEBP_QUALITY, 50)

    assert message.data[12:16] == b"VP8X"
    assert decode(message, max_pixels=300).shape == (10, 30, 3)
    with pytest.raises(ImageError, match="30 x 10 pixels"):
        decode(message, max_pixels=299)


def test_a_png_whose_chunk_claims_more_than_there_is_is_refused(monkeypatch):
    """OpenCV allocates what is claimed: 4 GB and 3 s for an image of 2 kB."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    message = compressed(colours(8, 8), ".png")
    message.data = message.data[:33] + b"\xff\xff\xff\x00" + message.data[37:]

    with pytest.raises(ImageError, match="cut short") as error:
        decode(message)
    assert error.value.cause == "truncated"


def test_a_jpeg_with_too_few_bytes_for_its_size_is_refused():
    """OpenCV fills the rest with grey."""
    with pytest.raises(ImageError, match="too few for 7000 x 7000 pixels") as error:
        decode(claiming(".jpg", 7000, 7000))
    assert error.value.cause == "truncated"


def test_the_emptiest_jpeg_has_bytes_enough():
    black = np.zeros((2000, 2000, 3), np.uint8)
    message = compressed(
        black, ".jpg", cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1
    )

    assert decode(message).shape == black.shape


@pytest.mark.parametrize("kind", [".tiff", ".bmp", ".hdr", ".ppm", ".gif"])
def test_formats_that_no_camera_sends_are_refused(kind):
    picture = colours(8, 8).astype(np.float32) if kind == ".hdr" else colours(8, 8)

    with pytest.raises(ImageError, match="no JPEG, PNG or WebP"):
        decode(compressed(picture, kind))


@pytest.mark.parametrize(
    ("format_", "data", "cause"),
    [
        ("jpeg", b"", "zero size"),
        ("jpeg", b"hello, this is no image", "decoding"),
        ("webp", b"RIFF\x04\0\0\0WEBP", "decoding"),
        # of files, not of messages
        ("bmp", cv2.imencode(".bmp", np.zeros((4, 4, 3), np.uint8))[1].tobytes(), "decoding"),
        ("tiff", cv2.imencode(".tiff", np.zeros((4, 4, 3), np.uint8))[1].tobytes(), "decoding"),
        ("16UC1; compressedDepth png", b"\0" * 20, "encoding"),
    ],
)
def test_what_is_no_picture_is_refused(format_, data, cause):
    with pytest.raises(ImageError) as error:
        decode(SimpleNamespace(format=format_, data=data))

    assert error.value.cause == cause


@pytest.mark.parametrize(
    "read",
    [
        lambda text: to_bgr(raw(colours(4, 6), text)),
        lambda text: decode(SimpleNamespace(format=text, data=b"")),
        lambda text: decode(SimpleNamespace(format=f"{text} compressedDepth", data=b"1")),
    ],
)
def test_words_of_a_message_are_cut_and_escaped(read):
    with pytest.raises(ImageError) as error:
        read("\x1b[2J" + "x" * 5_000_000)

    assert "\\x1b[2Jxxx" in str(error.value)
    assert len(str(error.value)) < 1000


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(CONTAINERS),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_any_damage_gives_a_picture_within_the_limit_or_an_image_error(kind, changes, cut):
    message = claiming(kind, 8, 8)
    data = bytearray(message.data)
    for place, value in changes:
        data[place % len(data)] = value
    message.data = bytes(data[: len(data) - cut])
    try:
        image = decode(message, max_pixels=10_000)
    except ImageError:
        return
    assert image.size <= 3 * 10_000
    assert image.dtype == np.uint8


@pytest.fixture
def install_cv_bridge(tmp_path, monkeypatch):
    """Return a function that installs a module cv_bridge whose conversion has the given body."""

    def install(body: str) -> None:
        (tmp_path / "cv_bridge.py").write_text(
            "import os\n"
            "import numpy as np\n"
            "class CvBridge:\n"
            "    asked = []\n"
            "    def imgmsg_to_cv2(self, message, wanted):\n"
            "        # where it was built for another NumPy its colours end the process\n"
            "        if wanted != 'passthrough': os.abort()\n"
            "        self.asked.append(message.encoding)\n"
            f"        {body}\n"
        )
        monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        images._cv_bridge.cache_clear()

    yield install
    sys.modules.pop("cv_bridge", None)
    images._cv_bridge.cache_clear()


BRIDGED = raw(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000, "mono16", padding=4)


@pytest.mark.parametrize(
    "body",
    [
        "raise AttributeError('tostring')",  # the cv-bridge of PyPI, which is ROS 1 code
        "return np.zeros((6, 8), np.uint8)",
        "return None",
    ],
)
def test_a_cv_bridge_that_does_not_work_is_passed_over(install_cv_bridge, body):
    expected = to_bgr(BRIDGED)
    install_cv_bridge(body)

    assert np.array_equal(to_bgr(BRIDGED), expected)


def test_a_cv_bridge_that_crashes_on_import_is_passed_over(install_cv_bridge):
    expected = to_bgr(BRIDGED)
    install_cv_bridge("pass\nraise SystemError('compiled for another NumPy')")

    assert np.array_equal(to_bgr(BRIDGED), expected)


def test_cv_bridge_unpacks_what_is_its_business_and_nothing_else(install_cv_bridge):
    install_cv_bridge("return np.full((6, 8), 257 * 90, np.uint16)")

    assert (to_bgr(BRIDGED) == 90).all()
    to_bgr(raw(colours(6, 8), "bgr8"))
    to_bgr(raw(colours(6, 8)[..., :2], "uyvy"))  # it knows this one as yuv422 only
    assert sys.modules["cv_bridge"].CvBridge.asked == ["mono16"]


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_real_cv_bridge_changes_no_picture(encoding, big_endian, monkeypatch):
    pytest.importorskip("cv_bridge", reason="cv_bridge is not on PyPI, an apt ROS has it")
    form = ENCODINGS[encoding]
    pixels = np.random.default_rng(1).integers(0, 256, (int(8 * form.rows), 12 * form.pixel))
    message = raw(pixels.astype(np.uint8), encoding, 0 if "nv" in encoding else 6)
    message.height, message.width, message.is_bigendian = 8, 12, int(big_endian)
    found = to_bgr(message)

    monkeypatch.setattr(images, "_cv_bridge", lambda: None)

    assert np.array_equal(found, to_bgr(message))


def test_stamps_that_say_nothing_are_refused():
    check_stamp(5, None)
    check_stamp(5, 4)
    check_stamp(4, 5)
    with pytest.raises(ImageError, match="stamp is 0") as zero:
        check_stamp(0, None)
    assert zero.value.cause == "stamp zero"
    with pytest.raises(ImageError, match="2.000000001 is that of the image before"):
        check_stamp(2_000_000_001, 2_000_000_001)
