# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from caer_ros.types import SECOND
from caer_ros.video import (
    Pictures,
    Video,
    VideoError,
    is_camera,
    natural,
    open_video,
    read_picture,
)


def shade(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def write_video(
    path: Path, images: Sequence[np.ndarray], fps: float = 24, codec: str = "mp4v"
) -> Path:
    """Write a video whose container follows from its ending."""
    height, width = images[0].shape[:2]
    fourcc = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image)
    writer.release()
    return path


def write_matroska(path: Path, times_ms: Sequence[int]) -> Path:
    """Write JPEG images at any times into a Matroska file (RFC 9559): a video of varying rate."""

    def element(name: str, content: bytes) -> bytes:
        return bytes.fromhex(name) + struct.pack(">Q", len(content) | 1 << 56) + content

    def number(name: str, value: int) -> bytes:
        return element(name, value.to_bytes(4, "big"))

    head = element("1a45dfa3", element("4282", b"matroska"))
    info = element("1549a966", number("2ad7b1", 1_000_000))
    size = element("e0", number("b0", 64) + number("ba", 48))
    entry = number("d7", 1) + number("73c5", 1) + number("83", 1) + element("86", b"V_MJPEG")
    tracks = element("1654ae6b", element("ae", entry + size))
    clusters = b"".join(
        element(
            "1f43b675",
            number("e7", time) + element("a3", b"\x81\0\0\x80" + jpeg(shade(10 * index))),
        )
        for index, time in enumerate(times_ms)
    )
    path.write_bytes(head + element("18538067", info + tracks + clusters))
    return path


def read(path: Path, fps: float | None = None) -> tuple[list[int], list[np.ndarray], list[str]]:
    with open_video(path, fps) as video:
        pairs = list(video)
        return [stamp for stamp, _ in pairs], [image for _, image in pairs], video.notes


def frames_at(rate: float, count: int) -> list[int]:
    return [round(i * SECOND / rate) for i in range(count)]


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv", ".mov", ".ts"])
def test_a_video_keeps_its_own_time(ending: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"v{ending}", [shade(20 * i) for i in range(10)], 20)
    stamps, images, notes = read(path)
    assert stamps == pytest.approx(frames_at(20, 10), abs=1_000_000)  # Matroska has milliseconds
    assert [image.mean() for image in images] == pytest.approx([20 * i for i in range(10)], abs=4)
    assert notes == []


def test_a_video_of_varying_rate_keeps_its_own_time(tmp_path: Path) -> None:
    times = [0, 30, 330, 430, 460, 9200]
    stamps, images, notes = read(write_matroska(tmp_path / "v.mkv", times))
    assert stamps == [1_000_000 * time for time in times]
    assert [round(image.mean()) for image in images] == [0, 10, 20, 30, 40, 50]
    assert notes == []


# Four grey images of 16 x 16 pixels, encoded with x264 at 24 Hz, without container.
H264 = bytes.fromhex(
    "000000016764000aac4c22f420000003002000000601e244c2300000000168e8430f2c8b"
    "00000001658882057ffef6737c0a6b6db1810000000141888415fffed8e7f32ca3699340f0"
    "0000000141888815fffed8e7f32c8ead4d03c10000000141888c15fffed8e7f32b80b4d03c"
)


def test_a_raw_stream_without_time_stamps_comes_at_the_frame_rate(tmp_path: Path) -> None:
    (tmp_path / "v.h264").write_bytes(H264)
    stamps, images, (note,) = read(tmp_path / "v.h264")
    assert stamps == pytest.approx(frames_at(24, 4), abs=10)
    assert [image.mean() for image in images] == pytest.approx([0, 40, 80, 120], abs=4)
    assert "3 of the 4 images" in note
    assert "24 images a second; --fps sets another" in note


def test_motion_jpeg_without_container_comes_at_the_usual_rate(tmp_path: Path) -> None:
    path = tmp_path / "v.mjpeg"
    path.write_bytes(b"".join(jpeg(shade(i)) for i in range(10)))
    stamps, _, (note,) = read(path)
    assert stamps == frames_at(25, 10)
    assert "25 images a second" in note


def test_an_avi_with_b_frames_has_stamps_that_rise(tmp_path: Path) -> None:
    # OpenCV's MPEG-2 has B-frames; AVI has no time of its own
    path = write_video(tmp_path / "v.avi", [shade(10 * i) for i in range(24)], codec="mpg2")
    stamps, images, (note,) = read(path)
    assert stamps == pytest.approx(frames_at(24, 24), abs=1000)
    assert np.diff([image.mean() for image in images]).min() > 0
    assert "1 of the 24 images" in note


def test_a_transport_stream_that_begins_again_goes_on(tmp_path: Path) -> None:
    part = write_video(tmp_path / "part.ts", [shade(i) for i in range(24)], 24).read_bytes()
    (tmp_path / "v.ts").write_bytes(part + part)
    stamps, _, (note,) = read(tmp_path / "v.ts")
    assert stamps == pytest.approx(frames_at(24, len(stamps)), abs=20_000)
    assert f"1 of the {len(stamps)} images" in note


def test_fps_replaces_the_own_time(tmp_path: Path) -> None:
    stamps, _, notes = read(write_matroska(tmp_path / "v.mkv", [0, 30, 9200]), fps=5)
    assert stamps == frames_at(5, 3)
    assert notes == []


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((1, 0, 0, 1), 0), ((0, 1, -1, 0), 1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 3)],
)
def test_a_phone_s_video_stands_upright(
    matrix: tuple[int, ...], turns: int, tmp_path: Path
) -> None:
    image = shade(20)
    image[:16, :16] = 250  # top left
    data = bytearray(write_video(tmp_path / "plain.mp4", [image] * 3).read_bytes())
    # the track header's matrix (ISO/IEC 14496-12, 8.3.2); version 0
    start = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "v.mp4").write_bytes(data)
    _, images, _ = read(tmp_path / "v.mp4")
    clockwise = np.rot90(image, -turns)
    assert images[0].shape == clockwise.shape
    assert np.abs(images[0].astype(int) - clockwise).mean() < 8


def test_a_video_cut_short_gives_the_images_it_has(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", [shade(i) for i in range(40)], codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    stamps, _, _ = read(path)
    assert stamps == pytest.approx(frames_at(24, len(stamps)), abs=1000)
    assert 1 < len(stamps) < 40


def test_the_number_of_images_is_known(tmp_path: Path) -> None:
    with Video(write_video(tmp_path / "v.mp4", [shade(0)] * 12)) as video:
        assert video.length == 12
        assert not video.live


def test_a_name_that_looks_like_an_address_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "v.mp4", [shade(0)] * 3).rename(tmp_path / "take:1.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(read(Path("take:1.mp4"))[0]) == 3


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match="x.mp4 is no video"):
        open_video(tmp_path / "x.mp4")
    with pytest.raises(VideoError, match="gone.mp4 does not exist"):
        open_video(tmp_path / "gone.mp4")
    with pytest.raises(VideoError, match="99 cannot be opened"):
        open_video(99)


def test_a_folder_comes_in_natural_order(tmp_path: Path) -> None:
    for i in (10, 9, 2):
        cv2.imwrite(str(tmp_path / f"{i}.png"), shade(i))
    stamps, images, notes = read(tmp_path, fps=20)
    assert stamps == frames_at(20, 3)
    assert [int(image[0, 0, 0]) for image in images] == [2, 9, 10]
    assert notes == []


def test_digits_that_are_no_numbers_sort_as_text() -> None:
    names = ["img²3.jpg", "③.jpg", "img²10.jpg", "٣.jpg"]
    assert sorted(map(Path, names), key=natural)[0] == Path("img²3.jpg")


def test_files_that_are_no_pictures_are_named(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), shade(1))
    for name in ("c.heic", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    with Pictures(tmp_path) as pictures:
        (note,) = pictures.notes
        assert pictures.length == 2
    assert "2 of the files" in note
    assert "c.heic, notes.txt" in note


def test_a_folder_without_pictures_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(VideoError, match=r"has no picture .*\.png.* a\.heic"):
        Pictures(tmp_path)


def test_one_picture_is_one_image(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.PNG"), shade(7))
    stamps, (image,), _ = read(tmp_path / "a.PNG")
    assert stamps == [0]
    assert np.array_equal(image, shade(7))


@pytest.mark.parametrize("content", [b"", b"not a picture", jpeg(shade(200))[:-300]])
def test_a_broken_picture_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(VideoError, match=r"a\.jpg cannot be read as a picture"):
        read(tmp_path)


@pytest.mark.parametrize("ending", [".bmp", ".jpg", ".png", ".tif", ".tiff", ".webp"])
def test_every_kind_of_picture_is_read(ending: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / f"a{ending}"), shade(77))
    assert np.abs(read_picture(tmp_path / f"a{ending}").astype(int) - 77).max() <= 2


def bmp_of_1988(image: np.ndarray) -> bytes:
    """Write a BMP with the header of OS/2 1.x; rows are multiples of four bytes here."""
    height, width = image.shape[:2]
    pixels = image[::-1].tobytes()
    head = struct.pack("<2sIHHI", b"BM", 26 + len(pixels), 0, 0, 26)
    return head + struct.pack("<I4H", 12, width, height, 1, 24) + pixels


def big_endian_tiff(image: np.ndarray) -> bytes:
    """Write a TIFF whose directory stands before its pixels, size in shorts."""
    height, width = image.shape[:2]
    pixels = image[..., ::-1].tobytes()
    tags = [(256, 3, width), (257, 3, height), (258, 3, 8), (262, 3, 2), (273, 4, 122)]
    tags += [(277, 3, 3), (278, 3, height), (279, 4, len(pixels)), (284, 3, 1)]
    entries = b"".join(
        struct.pack(">2HI", tag, kind, 1)
        + (struct.pack(">Hxx", value) if kind == 3 else struct.pack(">I", value))
        for tag, kind, value in tags
    )
    return b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4) + pixels


@pytest.mark.parametrize(("name", "write"), [("a.bmp", bmp_of_1988), ("a.tif", big_endian_tiff)])
def test_pictures_of_other_programs_are_read_or_known_to_be_cut(
    name: str, write: Callable[[np.ndarray], bytes], tmp_path: Path
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    path = tmp_path / name
    path.write_bytes(write(image))
    assert np.array_equal(read_picture(path), image)
    for share in (0.999, 0.9, 0.1, 0.002):
        path.write_bytes(write(image)[: int(share * len(write(image)))])
        with pytest.raises(VideoError, match=f"{name} cannot be read as a picture"):
            read_picture(path)


@pytest.mark.parametrize(
    ("name", "write", "order", "places"),
    [("a.bmp", bmp_of_1988, "<", (18, 20)), ("a.tif", big_endian_tiff, ">", (18, 30))],
)
def test_a_file_that_claims_too_many_pixels_is_not_decoded(
    name: str,
    write: Callable[[np.ndarray], bytes],
    order: str,
    places: Sequence[int],
    tmp_path: Path,
) -> None:
    data = bytearray(write(np.zeros((48, 64, 3), np.uint8)))
    for place, edge in zip(places, (30_000, 20_000), strict=True):
        struct.pack_into(f"{order}H", data, place, edge)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(VideoError, match="30000 x 20000 pixels, 64 megapixels are allowed"):
        read_picture(tmp_path / name)


def test_a_phone_s_picture_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    image = Image.fromarray(np.zeros((48, 64, 3), np.uint8))
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg").shape == (64, 48, 3)


def test_the_address_of_a_video_with_a_length_is_no_stream(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [shade(i) for i in range(5)])
    with Video(f"file://{path}") as video:
        assert not video.live
        assert video.length == len(list(video)) == 5


def test_a_password_is_in_no_error() -> None:
    with pytest.raises(VideoError, match="^http://127.0.0.1:9/a cannot be opened"):
        Video("http://me:secret@127.0.0.1:9/a")


def test_a_camera_s_images_have_the_machine_s_time_and_rise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [cv2.imencode(".jpg", shade(i))[1].tobytes() for i in range(5)]
    path = tmp_path / "v.mjpeg"  # without a length, as what a camera sends
    path.write_bytes(b"".join(pictures))
    monkeypatch.setattr("caer_ros.video.time.time_ns", lambda: 7 * SECOND)
    with Video(f"file://{path}") as stream:  # FFmpeg reads any address alike
        assert stream.live
        assert stream.length is None
        assert [stamp - 7 * SECOND for stamp, _ in stream] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("source", "camera"),
    [(0, True), ("0", True), ("12", True), ("²", False), ("③", False), ("talk.mp4", False)],
)
def test_a_number_is_a_camera(source: int | str, camera: bool) -> None:
    assert is_camera(source) == camera
