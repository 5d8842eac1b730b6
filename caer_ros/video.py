# SPDX-License-Identifier: Apache-2.0
"""Videos, pictures, folders of pictures, cameras and streams as (stamp, image), without ROS.

OpenCV decodes; what it does not promise is put right here: stamps rise, pictures stand upright, a
picture cut short is an error (docs/decisions/video.md).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from caer_ros.files import write_file
from caer_ros.images import ImageError, decode
from caer_ros.types import SECOND, CaerError

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Endings of files that are read as pictures, in lower case."""

FOLDER_FPS = 10.0
"""Pictures a second where a folder is read as a film."""

_USUAL_FPS = 25.0
"""Where a container names no credible rate, FFmpeg's own guess for raw streams."""

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class VideoError(CaerError):
    """A video, picture or folder that cannot be read."""


class Video:
    """A video file, a camera or a stream, opened: a context manager to iterate over once.

    Yields (stamp, image): ns, each above the one before; uint8 BGR of shape (height, width, 3),
    turned upright. Stamps of a file count from its first image, those of a camera or stream are
    the machine's clock (ns since 1970) when the image came.

    Where a file has no time for an image, or one that does not rise, the image follows the one
    before at the frame rate, and the rest with it. With `fps` all of a file's images do.

    Args:
        source: a file; a camera's number or device file; an address such as `rtsp://…`.
        fps: images a second, in place of the file's own time.

    Attributes:
        name: the source, without a password.
        live: whether it is a camera or stream; not so the address of a file, which has a length.
        length: images to expect; None where that is not known.
        notes: what was found amiss, complete once the last image has come.

    Raises:
        VideoError: where it cannot be opened, or holds no image.
    """

    def __init__(self, source: Path | str | int, fps: float | None = None) -> None:
        self.source = source
        # a password in an address is for the camera, not for pages, reports and logs
        self.name = without_password(source)
        self.notes: list[str] = []
        self._capture = _open(str(source), is_live(source))
        # turned here: OpenCV does not turn on all back ends, and 4.6 the wrong way
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.length = int(count) if 0 < count < 1e9 and not is_camera(source) else None
        self.live = is_live(source) and self.length is None
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps or (rate if 0 < rate <= 1000 else _USUAL_FPS)
        self._own_time = fps is None

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        turn = _TURNS.get(_angle(self._capture))
        index = unstamped = decoded = 0
        last = -1
        offset: int | None = None  # the container's time of stamp 0
        while self._capture.grab():
            if self.live:
                stamp = max(time.time_ns(), last + 1)
            elif not self._own_time:
                stamp = round(index * SECOND / self._fps)
            else:
                own = self._time()
                stamp = -1 if own is None else own - (own if offset is None else offset)
                if stamp <= last:
                    stamp = last + round(SECOND / self._fps) if index else 0
                    unstamped += 1
                offset = None if own is None else own - stamp
            index += 1
            last = stamp
            whole, image = self._capture.retrieve()
            if whole:
                decoded += 1
                yield stamp, image if turn is None else cv2.rotate(image, turn)
        if not decoded:
            raise VideoError(f"{self.name} holds no image that can be decoded")
        if unstamped:
            self.notes.append(
                f"{unstamped} of the {index} images of {self.name} have no time that rises: "
                f"they follow at {self._fps:g} images a second; --fps sets another rate for all"
            )

    def _time(self) -> int | None:
        """Return the container's time of the image just grabbed in ns, None where it has none."""
        milliseconds = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        # FFmpeg's "no time" becomes a huge negative number; a float's noise is below 1 us
        return round(milliseconds * 1000) * 1000 if 0 <= milliseconds < 1e12 else None


class Pictures:
    """One picture, or the pictures of a folder in natural order, to iterate over as over a Video.

    Args:
        source: a picture's file, or a folder.
        fps: pictures a second.

    Attributes:
        length: number of pictures; notes: what was found amiss, files that are no pictures.

    Raises:
        VideoError: where there is no picture; while iterating, where one cannot be read.
    """

    live = False

    def __init__(self, source: Path | str, fps: float | None = None) -> None:
        path = Path(source)
        self.notes: list[str] = []
        self._fps = fps or FOLDER_FPS
        self._files = [path]
        if path.is_dir():
            content = sorted((f for f in path.iterdir() if f.name[0] != "."), key=natural)
            self._files = [f for f in content if f.suffix.lower() in PICTURES]
            others = [f.name for f in content if f not in self._files and f.is_file()]
            if others:
                self.notes.append(
                    f"{len(others)} of the files in {path} are left out, no pictures that are "
                    f"read ({', '.join(sorted(PICTURES))}): {', '.join(others[:5])}"
                    + (" …" if len(others) > 5 else "")
                )
            if not self._files:
                known = ", ".join(sorted(PICTURES))
                raise VideoError("; ".join([f"{path} has no picture ({known})", *self.notes]))
        self.length = len(self._files)

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for index, file in enumerate(self._files):
            yield round(index * SECOND / self._fps), read_picture(file)


def open_video(source: Path | str | int, fps: float | None = None) -> Video | Pictures:
    """Open whatever yields images: a picture or a folder of them, else a `Video`.

    Raises:
        VideoError: where it cannot be opened.
    """
    if not is_live(source):
        path = Path(str(source))
        if path.is_dir() or path.suffix.lower() in PICTURES:
            return Pictures(path, fps)
    return Video(source, fps)


def is_live(source: Path | str | int) -> bool:
    """Tell whether a source is a camera (number or device file) or the address of a stream."""
    return is_camera(source) or "://" in str(source)


def is_camera(source: Path | str | int) -> bool:
    """Tell whether a source is a camera of this machine: its number or its device file."""
    if isinstance(source, int) or str(source).isdecimal():
        return True
    return Path(source).is_char_device()


def without_password(source: Path | str | int) -> str:
    """Return a source as text, an address without name and password."""
    return re.sub(r"(?<=://)[^/@]*@", "", str(source))


def read_picture(path: Path) -> np.ndarray:
    """Return a picture as uint8 BGR, whatever its depth and channels, turned upright (EXIF).

    Raises:
        VideoError: where the file cannot be read, is empty, cut short or no picture.
    """
    try:
        if not path.is_file() and path.exists():
            raise VideoError(f"{path} is no file")
        data = path.read_bytes()
        return decode(SimpleNamespace(format=path.suffix, data=data), file=True)
    except OSError as error:
        raise VideoError(f"cannot read {path}: {error.strerror}") from error
    except ImageError as error:
        raise VideoError(f"{path} cannot be read as a picture: {error}") from error


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write uint8 BGR in the format that the file's ending says.

    Raises:
        CaerError: where the ending or the folder is no good, naming why.
    """
    try:
        encoded = cv2.imencode(path.suffix, image)[1] if path.suffix else None
    except cv2.error:
        encoded = None
    if encoded is None:
        raise VideoError(f"{path} has no ending of a picture that is written; take .png or .jpg")
    write_file(path, encoded.tobytes())


def natural(path: Path) -> list[str | int]:
    """Return a key that sorts `image_10` behind `image_9`."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _open(source: str, live: bool) -> cv2.VideoCapture:
    if not live:
        path = Path(source)
        if not path.is_file():
            raise VideoError(f"{path} is no file" if path.exists() else f"{path} does not exist")
        # absolute, so that no name is taken for an address
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    elif source.isdecimal():
        capture = cv2.VideoCapture(int(source))
    elif "://" in source:
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG)
    else:
        capture = cv2.VideoCapture(source, cv2.CAP_V4L2)
    if not capture.isOpened():
        reason = "is no video that OpenCV reads"
        if is_camera(source):
            found = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
            reason = f"cannot be opened: is it plugged in, and free? Cameras here: {found}"
        elif live:
            reason = "cannot be opened: is the address right, and does it send?"
        raise VideoError(f"{without_password(source)} {reason}")
    return capture


def _angle(capture: cv2.VideoCapture) -> int:
    """Return by how many degrees clockwise a video's images have to be turned."""
    angle = int(capture.get(cv2.CAP_PROP_ORIENTATION_META))
    # apt's OpenCV on Ubuntu 24.04 and Debian 12, over FFmpeg 5 and later, has the wrong sign
    if cv2.__version__.startswith("4.6.") and re.search(
        r"avcodec: +YES \((59|6\d)", cv2.getBuildInformation()
    ):
        angle = -angle % 360
    return angle
