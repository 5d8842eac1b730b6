# SPDX-License-Identifier: Apache-2.0
"""Whatever gives images, as frames: cameras, streams, videos, pictures, bags, or a program."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from caer_ros.images import ImageError
from caer_ros.replay.bag import Bag, is_bag
from caer_ros.types import Frame
from caer_ros.video import Pictures, Video, VideoError, is_live, open_video, without_password

RETRY = 1.0
"""Seconds from one try to the next to open a camera that has gone away."""

PATIENCE = 5.0
"""Seconds in which a camera's thread ends, unless its driver hangs."""

Images = Iterable[tuple[int, np.ndarray]]
"""Stamps in ns and uint8 BGR images of shape (height, width, 3)."""


class Source(ABC):
    """Frames, in a context manager to iterate over once.

    name: what it is called, and the camera of its frames. live: whether it is a camera or stream.
    length: frames to expect, None where not known. dropped: images passed over so far.
    stopped: ends the wait for a camera's next image, once set.
    """

    live = False
    length: int | None = None
    dropped = 0

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = threading.Event()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027 - some have nothing to close
        pass

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    @property
    def notes(self) -> list[str]:
        """What was found amiss so far."""
        return []


class Given(Source):
    """A program's own images."""

    def __init__(self, images: Images) -> None:
        super().__init__("images")
        self._images = images

    def __iter__(self) -> Iterator[Frame]:
        for stamp, image in self._images:
            yield Frame(self.name, stamp, image)


class Film(Source):
    """Every image of a video, a picture or a folder of pictures, as fast as they are asked for."""

    def __init__(self, name: str, video: Video | Pictures) -> None:
        super().__init__(name)
        self._video = video
        self.length = video.length

    def __iter__(self) -> Iterator[Frame]:
        for stamp, image in self._video:
            yield Frame(self.name, stamp, image)

    def __exit__(self, *exception: object) -> None:
        self._video.__exit__(*exception)

    @property
    def notes(self) -> list[str]:
        return self._video.notes


class Recording(Source):
    """Every image of a bag; the cameras are its topics."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._bag = Bag(path)
        self._topics = self._bag.choose_topics()
        self.length = sum(self._bag.topics[topic].count for topic in self._topics)

    def __exit__(self, *_: object) -> None:
        self._bag.close()

    def __iter__(self) -> Iterator[Frame]:
        for image in self._bag.images(self._topics):
            try:
                frame = Frame(image.topic, image.stamp, image.to_bgr())
            except ImageError as error:
                if not self.dropped:
                    self._bag.warnings.append(f"{image.topic} at {image.time} ns: {error}")
                self.dropped += 1
            else:
                yield frame

    @property
    def notes(self) -> list[str]:
        return self._bag.warnings


class Camera(Source):
    """The newest image of a camera or stream; what comes while nobody asks is dropped.

    A camera that goes away is waited for, without end.
    """

    live = True

    def __init__(self, video: Video, notify: Callable[[str], object]) -> None:
        super().__init__(video.name)
        self._address = video.source
        self._notify = notify
        self._newest: queue.Queue[Frame] = queue.Queue(1)
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._take_in, args=(video,), name="caer_camera", daemon=True
        )

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        # C++ under a thread that Python leaves behind would abort the process; the next image
        # ends it, or the end of a try to connect
        self._thread.join(timeout=PATIENCE)

    def __iter__(self) -> Iterator[Frame]:
        while not self._closed.is_set() and not self.stopped.is_set():
            try:
                yield self._newest.get(timeout=0.2)
            except queue.Empty:
                pass

    def _take_in(self, video: Video | None) -> None:
        while not self._closed.is_set():
            if video is None:
                self._closed.wait(RETRY)
                video = self._reopen()
                continue
            self._follow(video)
            video = None
            if not self._closed.is_set():
                self._notify(f"{self.name} is gone: waiting for it, Ctrl-C ends")

    def _follow(self, video: Video) -> None:
        try:
            with video:
                for stamp, image in video:
                    try:
                        self._newest.get_nowait()
                        self.dropped += 1
                    except queue.Empty:
                        pass
                    if self._closed.is_set():
                        return
                    self._newest.put(Frame(self.name, stamp, image))
        except VideoError:
            pass  # it opened, and gave nothing

    def _reopen(self) -> Video | None:
        try:
            video = Video(self._address)
        except VideoError:
            return None
        self._notify(f"{self.name} is back")
        return video


def open_source(
    source: Path | str | int | Images,
    fps: float | None = None,
    notify: Callable[[str], object] = lambda line: None,
) -> Source:
    """Open anything that has images.

    Args:
        source: a camera's number or device file, the address of a stream, a video, a picture, a
            folder of pictures, a bag; or an iterable of stamps in ns and BGR images.
        fps: images a second of a video or folder, in place of its own time.
        notify: gets a line when a camera goes away, and when it is back.

    Raises:
        CaerError: where it cannot be opened.
    """
    if not isinstance(source, Path | str | int):
        return Given(source)
    if not is_live(source) and is_bag(path := Path(str(source))):
        return Recording(path)
    video = open_video(source, fps)
    if isinstance(video, Video) and video.live:
        return Camera(video, notify)
    return Film(without_password(source), video)
