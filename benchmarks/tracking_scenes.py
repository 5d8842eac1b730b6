# SPDX-License-Identifier: Apache-2.0
"""Clips of real faces whose true places and identities are known, composed frame by frame.

The faces are those of the demo's material. A head is an oval cut out of a photo, put on drawn
shoulders; to turn, it is a cylinder with the face in front and hair behind. The camera moves,
blurs and adds noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from caer_ros.demo.material import GROUP, VIDEO
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.types import Face
from caer_ros.video import Video, read_picture

WIDTH, HEIGHT = 640, 480
RATE = 30
"""Frames a second, where a clip does not say otherwise."""

EDGE = 256
"""Edge in pixels of a head's picture."""

SURROUNDINGS = 2.2
"""Edge of a head's picture as a multiple of its face's box."""

OVAL = (0.29 * EDGE, 0.38 * EDGE)
"""Half axes of a head in its picture; its middle is a little above the face's."""

LIFT = 0.05 * EDGE

PILLAR = (WIDTH // 2 - 65, WIDTH // 2 + 65)

EXPOSURE = 1 / 60
"""Seconds for which the moving camera's shutter is open."""

CLOTHES = ((60, 50, 40), (120, 60, 50), (50, 90, 60), (70, 60, 130), (150, 150, 140))

Place = Callable[[float], tuple[float, float, float, float]]
"""Seconds to the face's middle (x, y) and width, in pixels, and its turn from us in radians."""

Camera = Callable[[float], tuple[float, float]]
"""Seconds to where the camera has moved, in pixels."""


HAIR = (
    (775, 300, 825, 390),
    (290, 400, 345, 600),
    (640, 380, 690, 490),
    (225, 20, 310, 75),
    (425, 170, 530, 232),
    (385, 420, 430, 600),
)
"""Hair in the group photo: corners in pixels."""


@dataclass(frozen=True)
class Head:
    """A person's pictures, uint8 BGR (EDGE, EDGE, 3): the front, its face's box in the middle,
    and the hair behind."""

    front: np.ndarray
    back: np.ndarray


@dataclass(frozen=True)
class Actor:
    """A head that moves. `lettering` stands on the back of those who are seen from behind."""

    head: Head
    place: Place
    clothes: tuple[int, int, int]
    lettering: str = ""


@dataclass(frozen=True)
class Clip:
    """A scene. actors: from the farthest to the nearest. noise: deviation of a pixel's value.
    pillar: left and right edge of what stands before them all.
    """

    name: str
    seconds: float
    actors: Sequence[Actor]
    camera: Camera = lambda _: (0.0, 0.0)
    pillar: tuple[int, int] = (0, 0)
    noise: float = 4.0
    seed: int = 0
    rate: int = RATE

    @property
    def persons(self) -> int:
        """How many show their face at some time."""
        times = np.arange(0, self.seconds, 1 / self.rate).tolist()
        return sum(any(_faces_us(a.place(t)[3]) for t in times) for a in self.actors)

    def frames(self) -> Iterator[tuple[np.ndarray, dict[int, Face]]]:
        """Yield image and truth, by actor: boxes of the faces of which at least half is seen."""
        random = np.random.default_rng(self.seed)
        backdrop = _backdrop(random)
        for k in range(round(self.seconds * self.rate)):
            seconds = k / self.rate
            x, y = self.camera(seconds)
            before = self.camera(seconds - EXPOSURE)
            image = _window(backdrop, x, y)
            truth: dict[int, Face] = {}
            for number, actor in enumerate(self.actors):
                middle_x, middle_y, width, turn = actor.place(seconds)
                oval = _draw(image, actor, (middle_x - x, middle_y - y, width, turn))
                truth = {n: face for n, face in truth.items() if _seen(face, oval) >= 0.5}
                if _faces_us(turn):
                    half = width / 2
                    face = Face(
                        middle_x - x - half,
                        middle_y - y - half,
                        middle_x - x + half,
                        middle_y - y + half,
                    )
                    if face.x1 > -half and face.x2 < WIDTH + half:
                        truth[number] = face
            left, right = self.pillar
            image[:, left:right] = 90
            middle = {n: (face.x1 + face.x2) / 2 for n, face in truth.items()}
            truth = {n: face for n, face in truth.items() if not left < middle[n] < right}
            image = _smear(image, x - before[0], y - before[1])
            noisy = image + random.normal(0.0, self.noise, image.shape)
            yield noisy.clip(0, 255).astype(np.uint8), truth


def load_heads(material: Path) -> list[Head]:
    """Return the heads of the five people of the group photo and of the woman of the video."""
    group = read_picture(material / GROUP)
    detector = FaceDetector(DetectorSettings())
    fronts = [_around(group, face) for face in detector.detect(group)]
    detector.close()
    fronts += cut_heads(material / VIDEO, (240,))
    backs = [cv2.resize(group[y1:y2, x1:x2], (EDGE, EDGE)) for x1, y1, x2, y2 in HAIR]
    return [Head(front, back) for front, back in zip(fronts, backs, strict=True)]


def cut_heads(path: Path, numbers: Sequence[int]) -> list[np.ndarray]:
    """Return the head in each of the images of a video that `numbers` name."""
    detector = FaceDetector(DetectorSettings())
    with Video(path) as video:
        images = [image for number, (_, image) in enumerate(video) if number in numbers]
    heads = [_around(image, detector.detect(image)[0]) for image in images]
    detector.close()
    return heads


def _around(image: np.ndarray, face: Face) -> np.ndarray:
    edge = round(SURROUNDINGS * max(face.width, face.height))
    middle = (face.x1 + face.x2) / 2, (face.y1 + face.y2) / 2
    picture = cv2.getRectSubPix(image, (edge, edge), middle)
    return cv2.resize(picture, (EDGE, EDGE), interpolation=cv2.INTER_AREA)


def clips(heads: Sequence[Head], casts: int = 4) -> Iterator[Clip]:
    """Yield the scenes, each with several casts."""
    for k in range(casts):
        cast = [heads[(n + k) % len(heads)] for n in range(5)]
        way = -1 if k % 2 else 1
        yield Clip("one passes one", 5, _passing(cast, 1, way), seed=k)
        yield Clip("one passes four", 5, _passing(cast, 4, way), seed=k)
        yield Clip("turns away", 4, [_actor(cast, 0, _turning(0.0))], seed=k)
        yield Clip("turns away walking", 4, [_actor(cast, 0, _turning(way * 150.0))], seed=k)
        walker = [_actor(cast, 0, _walking(way))]
        yield Clip("behind a pillar", 4, walker, pillar=PILLAR, seed=k)
        yield Clip("another comes instead", 4, _replaced(cast, way * (120 + 60 * k)), seed=k)
        yield Clip("eight small", 8, _crowd(heads, k), camera=_shaken, noise=6.0, seed=k)
        yield Clip("from behind", 8, _backs(cast, k), camera=_swaying, seed=k)


def _actor(cast: Sequence[Head], n: int, place: Place, lettering: str = "") -> Actor:
    return Actor(cast[n % len(cast)], place, CLOTHES[n % len(CLOTHES)], lettering)


def _passing(cast: Sequence[Head], standing: int, way: int) -> list[Actor]:
    """Let one walk by before others, nearer than they are: 250 pixels a second."""

    def stand(n: int) -> Place:
        x = WIDTH * (n + 1) / (standing + 1)
        return lambda t: (x + 3 * math.sin(2 * t + n), 220 + 2 * math.sin(3 * t + n), 70, 0.0)

    def walk(t: float) -> tuple[float, float, float, float]:
        return WIDTH / 2 + way * 250 * (t - 2.5), 200 + 5 * math.sin(12 * t), 95, 0.0

    return [*(_actor(cast, n, stand(n)) for n in range(standing)), _actor(cast, standing, walk)]


def _turning(speed: float) -> Place:
    """Turn the face away for half a second, at `speed` pixels a second."""

    def place(t: float) -> tuple[float, float, float, float]:
        # 0.2 s to turn, 0.5 s hidden, 0.2 s to turn back
        away = min(max((t - 1.8) / 0.2, 0.0), 1.0) - min(max((t - 2.5) / 0.2, 0.0), 1.0)
        x = WIDTH / 2 + speed * (t - 2)
        return x, 220 + 3 * math.sin(5 * t), 80, math.pi * 0.75 * away

    return place


def _walking(way: int) -> Place:
    """Walk at 250 pixels a second, four faces, and behind the pillar for half of one."""
    return lambda t: (WIDTH / 2 + way * 250 * (t - 2), 220 + 3 * math.sin(12 * t), 60, 0.0)


def _replaced(cast: Sequence[Head], distance: float) -> list[Actor]:
    """Let one turn away for good, and 0.4 s later another turn round, `distance` pixels off."""

    def leave(t: float) -> tuple[float, float, float, float]:
        away = min(max((t - 1.8) / 0.2, 0.0), 1.0)
        return WIDTH / 2 - distance / 2, 220, 60, math.pi * 0.75 * away

    def come(t: float) -> tuple[float, float, float, float]:
        away = 1.0 - min(max((t - 2.2) / 0.2, 0.0), 1.0)
        return WIDTH / 2 + distance / 2, 220, 60, math.pi * 0.75 * away

    return [_actor(cast, 0, leave), _actor(cast, 1, come)]


def _crowd(heads: Sequence[Head], k: int) -> list[Actor]:
    def stand(n: int) -> Place:
        row, column = divmod(n, 4)
        x = 110 + 140 * column + 30 * row
        return lambda t: (x + 4 * math.sin(t + n), 170 + 110 * row, 24 + 2 * (n % 3), 0.0)

    mirrored = [Head(head.front[:, ::-1], head.back) for head in heads]
    people = [*heads, *mirrored][k : k + 8]
    return [_actor(people, n, stand(n)) for n in range(8)]


def _backs(cast: Sequence[Head], k: int) -> list[Actor]:
    def stand(n: int) -> Place:
        x = WIDTH * (n + 0.5) / 5

        def place(t: float) -> tuple[float, float, float, float]:
            turn = math.pi + 0.4 * math.sin(0.7 * t + n + k)
            return x + 15 * math.sin(t + n), 170 + 20 * (n % 2), 50 + 6 * n, turn

        return place

    words = ["CREW", "ROBOT 8", "PO8", "STAFF", "88"]
    return [_actor(cast, n, stand(n), words[(n + k) % 5]) for n in range(5)]


def _shaken(t: float) -> tuple[float, float]:
    """Pan to and fro by 60 pixels at up to 190 pixels a second, with a tremor."""
    return 60 * math.sin(3.1 * t) + 3 * math.sin(41 * t), 20 * math.sin(2.3 * t)


def _swaying(t: float) -> tuple[float, float]:
    return 15 * math.sin(1.3 * t), 5 * math.sin(1.7 * t)


def _faces_us(turn: float) -> bool:
    return abs(turn) < 1.0


def _backdrop(random: np.random.Generator) -> np.ndarray:
    """Draw a wall with frames on it, twice as large as an image."""
    wall = cv2.resize(random.uniform(90, 160, (12, 16, 3)), (2 * WIDTH, 2 * HEIGHT))
    for _ in range(25):
        x, y = random.integers(0, 2 * WIDTH), random.integers(0, 2 * HEIGHT)
        corner = (int(x + random.integers(30, 200)), int(y + random.integers(30, 200)))
        colour = random.uniform(40, 220, 3).tolist()
        cv2.rectangle(wall, (int(x), int(y)), corner, colour, int(random.choice([-1, 4])))
    return cv2.GaussianBlur(wall, (0, 0), 1.5)


def _window(backdrop: np.ndarray, x: float, y: float) -> np.ndarray:
    middle = (WIDTH + x, HEIGHT + y)
    return cv2.getRectSubPix(backdrop.astype(np.float32), (WIDTH, HEIGHT), middle)


def _draw(image: np.ndarray, actor: Actor, place: tuple[float, float, float, float]) -> np.ndarray:
    """Draw shoulders and head; return the head's oval (x, y, radius x, radius y)."""
    x, y, width, turn = place
    body = (round(x), round(y + 2.6 * width)), (round(1.5 * width), round(1.9 * width))
    cv2.ellipse(image, *body, 0, 0, 360, actor.clothes, -1, cv2.LINE_AA)
    if actor.lettering:
        scale = width / 40
        (length, _), _ = cv2.getTextSize(actor.lettering, cv2.FONT_HERSHEY_DUPLEX, scale, 3)
        at = (round(x - length / 2), round(y + 2.1 * width))
        cv2.putText(
            image, actor.lettering, at, cv2.FONT_HERSHEY_DUPLEX, scale, (230, 230, 230), 3,
            cv2.LINE_AA,
        )  # fmt: skip
    scale = SURROUNDINGS * width / EDGE
    edge = math.ceil(scale * EDGE) + 2
    left, top = math.floor(x - edge / 2), math.floor(y - edge / 2)
    matrix = np.array(
        [[scale, 0, x - left - scale * EDGE / 2], [0, scale, y - top - scale * EDGE / 2]]
    )
    head = _turned(actor.head, turn)
    if scale < 1:
        # averaging first, as a camera does
        head = cv2.GaussianBlur(head, (0, 0), 0.4 / scale)
    drawn = cv2.warpAffine(head, matrix, (edge, edge))
    mask = cv2.warpAffine(MASK, matrix, (edge, edge))[..., None]
    x1, x2 = np.clip([left, left + edge], 0, WIDTH)
    y1, y2 = np.clip([top, top + edge], 0, HEIGHT)
    behind = image[y1:y2, x1:x2]
    inside = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
    behind += mask[inside] * (drawn[inside] - behind)
    return np.array([x, y - LIFT * scale, OVAL[0] * scale, OVAL[1] * scale])


def _mask() -> np.ndarray:
    rows, columns = np.indices((EDGE, EDGE)) + 0.5 - EDGE / 2
    radius = np.hypot(columns / OVAL[0], (rows + LIFT) / OVAL[1])
    return ((1.0 - radius) / 0.06).clip(0, 1).astype(np.float32)


MASK = _mask()


def _turned(head: Head, turn: float) -> np.ndarray:
    """Turn a head about its vertical axis: a cylinder, the photo in front, hair behind."""
    if turn == 0.0:
        return head.front.astype(np.float32)
    across = (np.arange(EDGE) + 0.5 - EDGE / 2) / OVAL[0]
    angle = np.arcsin(across.clip(-1, 1)) + turn
    columns = EDGE / 2 + OVAL[0] * np.sin(angle) - 0.5
    rows = np.arange(EDGE)
    maps = [m.astype(np.float32) for m in np.meshgrid(columns, rows)]
    front, back = (
        cv2.remap(side, maps[0], maps[1], cv2.INTER_LINEAR) for side in (head.front, head.back)
    )
    return np.where(np.cos(angle)[None, :, None] > 0, front, back).astype(np.float32)


def _seen(face: Face, oval: np.ndarray) -> float:
    """Return the share of a face's box that an oval before it leaves free."""
    steps = (np.arange(12) + 0.5) / 12
    x = face.x1 + steps * face.width
    y = face.y1 + steps * face.height
    inside = ((x[None] - oval[0]) / oval[2]) ** 2 + ((y[:, None] - oval[1]) / oval[3]) ** 2 < 1
    return 1.0 - float(inside.mean())


def _smear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Blur along the way (x, y) that the picture moves while the shutter is open."""
    half = math.ceil(max(abs(x), abs(y)) / 2)
    if half == 0:
        return image
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for step in np.linspace(-0.5, 0.5, 4 * half + 1):
        kernel[round(half + y * step), round(half + x * step)] += 1
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
