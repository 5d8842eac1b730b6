# SPDX-License-Identifier: Apache-2.0
"""Whether a network of clips reads moving, damaged faces better than one of frames.

Films are made of validation stills by `caer_ros/training/clips.py` with seeds of their own: a
moving, shaking camera, light that blinks, hands and masks that pass, motion blur, darkness; in
half of them the face becomes one with another label. Every network reads the same films, a frame
each or the last 16, and is smoothed in several ways. The first 1.6 s, in which a clip is not yet
full, do not count, nor does the change itself.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from caer_ros.engines.base import Batch, Engine
from caer_ros.engines.select import load_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.perception.clips import PERIOD
from caer_ros.perception.smoothing import EmotionSmoother, SmoothingSettings
from caer_ros.training.clips import LENGTH, RATE, draw_change, draw_views, shoot
from caer_ros.training.cut import boxes_of, class_mask, cut
from caer_ros.training.datasets import read
from caer_ros.training.datasets.made_clips import SPELLS, load_still, seeded
from caer_ros.training.examples import Example
from caer_ros.training.metrics import paired_interval

FRAMES = 44
CHANGE = (24.0, 30.0)
"""Frames between which the middle of a change lies."""

FINEST = 2
"""Frames from one reading of a clip to the next, at least."""

READINGS = 50


@dataclass(frozen=True)
class Way:
    """How what a network says becomes a label.

    stride: frames from one reading to the next. mean: of how many readings. smoothing: in seconds.
    """

    name: str
    video: bool
    stride: int = 1
    mean: int = 1
    smoothing: tuple[float, float] = (0.0, 0.0)


WAYS = (
    Way("frame", False),
    Way("frame, smoothed (default)", False, 1, 1, (0.3, 0.2)),
    Way("frame, smoothed 0.6 s", False, 1, 1, (0.6, 0.4)),
    Way("frame, smoothed 1 s", False, 1, 1, (1.0, 0.6)),
    Way("frame, mean of 8", False, 1, 8),
    Way("frame, mean of 16", False, 1, LENGTH),
    Way("clip each 0.2 s", True, 2),
    Way("clip each 0.2 s, smoothed 0.1 s", True, 2, 1, (0.1, 0.1)),
    Way("clip each 0.2 s, smoothed (default)", True, 2, 1, (0.3, 0.2)),
    Way("clip each 0.4 s, smoothed 0.1 s", True, 4, 1, (0.1, 0.1)),
    Way("clip each 0.8 s (default)", True, 8),
    Way("clip each 0.8 s, smoothed (default)", True, 8, 1, (0.3, 0.2)),
)


@dataclass(frozen=True)
class Films:
    """What is filmed: `stills`, which become `others` by `shares`, float64 (N, FRAMES).

    spells: see `draw_views`.
    """

    stills: list[Example]
    others: list[Example | None]
    shares: np.ndarray
    spells: float
    seed: int

    def __len__(self) -> int:
        return len(self.stills)

    @property
    def truth(self) -> np.ndarray:
        """The label at each frame, -1 during a change, int64 (N, FRAMES)."""
        first = np.array([int(example.label) for example in self.stills])[:, None]
        second = np.array(
            [int((o or s).label) for s, o in zip(self.stills, self.others, strict=True)]
        )[:, None]
        return np.where(self.shares <= 0, first, np.where(self.shares >= 1, second, -1))

    def faces(self, index: int, engine: Engine) -> np.ndarray:
        """Return the face crops of a film, uint8 (FRAMES, size, size, 3)."""
        example, other = self.stills[index], self.others[index]
        rng = seeded(f"{self.seed}/views/{example.name}")
        still = load_still(example)
        views = draw_views(self.shares[index], still.side, self.spells, rng)
        frames = shoot(views, still, rng, load_still(other) if other else None)
        boxes = list(boxes_of(example, frames[:1])) * len(frames)
        faces, _ = cut(example, frames, boxes, engine.spec)
        assert faces is not None
        return faces


def film(examples: Sequence[Example], count: int, spells: float, seed: int) -> Films:
    """Choose `count` stills; every second one becomes one of another label, as data have both."""
    rng = np.random.default_rng(seed)
    chosen = [examples[i] for i in rng.permutation(len(examples))[:count]]
    others: list[Example | None] = []
    shares = np.zeros((len(chosen), FRAMES))
    for n, example in enumerate(chosen):
        rest = [e for e in examples if e.label != example.label and e.classes == example.classes]
        others.append(rest[int(rng.integers(len(rest)))] if n % 2 and rest else None)
        if others[-1] is not None:
            shares[n] = draw_change(FRAMES, CHANGE, rng)
    return Films(chosen, others, shares, spells, seed)


def listen(engine: Engine, films: Films) -> np.ndarray:
    """Return what the network says at each frame, float64 (N, FRAMES, 7), NaN where it is silent.

    Of clips every `FINEST`th is read, from the first full one on.
    """
    said = np.full((len(films), FRAMES, 7), np.nan)
    for n in range(len(films)):
        faces = films.faces(n, engine)
        if engine.spec.is_video:
            ends = list(range(LENGTH - 1, FRAMES, FINEST))
            pictures = np.stack([faces[end + 1 - LENGTH : end + 1] for end in ends])
        else:
            ends, pictures = list(range(FRAMES)), faces
        probabilities = engine.infer(Batch(pictures)).probabilities * class_mask(films.stills[n])
        said[n, ends] = probabilities / probabilities.sum(axis=1, keepdims=True)
    return said


def labels(said: np.ndarray, way: Way) -> np.ndarray:
    """Return the label at each frame from the first full clip on, int64 (N, FRAMES - LENGTH + 1).

    A reading is carried on until the next, as the node does.
    """
    settings = SmoothingSettings(*way.smoothing)
    out = np.empty((len(said), FRAMES - LENGTH + 1), np.int64)
    for n, film_said in enumerate(said):
        smoother: EmotionSmoother | None = None
        # the films' readings begin at different moments, as those of several people do
        lag = n % (way.stride // FINEST) * FINEST if way.video else 0
        now = film_said[LENGTH - 1 if way.video else 0]
        for t in range(LENGTH - 1 if way.video else 0, FRAMES):
            if (t - LENGTH + 1 - lag) % way.stride == 0:
                now = film_said[max(0, t + 1 - way.mean) : t + 1].mean(axis=0)
            if smoother is None:
                smoother = EmotionSmoother(now, t * PERIOD)
            else:
                smoother.update(now, t * PERIOD, settings)
            if t >= LENGTH - 1:
                out[n, t - LENGTH + 1] = smoother.emotion
    return out


@dataclass(frozen=True)
class Figures:
    """What came of a way.

    right: share of frames with the right label, float64 (N,). steady: the same where nothing
    changes, the mean; changes: of the label a minute there. delay: in seconds, see `delay_of`.
    """

    right: np.ndarray
    steady: float
    changes: float
    delay: float


def judge(said: np.ndarray, films: Films, way: Way) -> Figures:
    found, truth = labels(said, way)[:, 1:], films.truth[:, LENGTH:]
    known = truth >= 0
    still = np.array([other is None for other in films.others])
    changed = (found[still, 1:] != found[still, :-1]).sum()
    minutes = still.sum() * (found.shape[1] - 1) / RATE / 60
    right = ((found == truth) & known).sum(axis=1) / known.sum(axis=1)
    return Figures(right, right[still].mean(), changed / minutes, delay_of(found, films))


def delay_of(found: np.ndarray, films: Films) -> float:
    """Return how many seconds after the middle of a change half of those show its label that do.

    Those that do are counted from 1.1 to 1.4 s after the middle: what takes longer looks quicker
    than it is. Films of which it was said before the change began are left out. NaN where no label
    follows.
    """
    shown: list[np.ndarray] = []
    for n, other in enumerate(films.others):
        if other is None:
            continue
        middle = float(np.interp(0.5, films.shares[n], np.arange(FRAMES)))
        times = np.arange(LENGTH, FRAMES) - middle
        after = (found[n] == other.label).astype(float)
        if not after[times < -4].mean() > 0.5:
            shown.append(np.interp(np.arange(-4, 15), times, after))
    curve = np.mean(shown, axis=0)
    before, end = curve[:2].mean(), curve[-4:].mean()
    if not end > before:
        return np.nan
    reached = np.flatnonzero(curve >= (before + end) / 2)[0]
    low, high = curve[reached - 1], curve[reached]
    return float((reached - 1 + ((before + end) / 2 - low) / (high - low) - 4) / RATE)


def price(engines: Sequence[Engine]) -> list[float]:
    """Return the processor milliseconds of a reading, the median of readings in turn."""
    spent: list[list[float]] = [[] for _ in engines]
    for _ in range(READINGS):
        for engine, times in zip(engines, spent, strict=True):
            batch = Batch.blank(engine.spec, 1)
            started = time.process_time()
            engine.infer(batch)
            times.append(time.process_time() - started)
    return [1e3 * float(np.median(times)) for times in spent]


def lines(films: Films, said: dict[str, np.ndarray], video: dict[str, bool]) -> Iterator[str]:
    """Yield the table of one set of films; gains are over the default of the first network."""
    names = list(said)
    standard = judge(said[names[0]], films, WAYS[1])
    groups = [example.group for example in films.stills]
    for name in names:
        for way in WAYS:
            if way.video != video[name]:
                continue
            figures = judge(said[name], films, way)
            gain = figures.right - standard.right
            low, high = paired_interval(gain, groups)
            yield (
                f"{name:>18} {way.name:36} {figures.right.mean():.4f} "
                f"{100 * gain.mean():+6.2f} ({100 * low:+.2f} to {100 * high:+.2f}) "
                f"{figures.steady:.4f} {figures.changes:6.1f} {figures.delay:5.2f} s"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", metavar="LAYOUT:PATH", help="stills, of the validation split")
    parser.add_argument(
        "--weights",
        nargs="+",
        default=["caer_net_s", "caer_net"],
        help="the first is a network of frames, with which the others are compared",
    )
    parser.add_argument("--films", type=int, default=800, help="as many, damaged, and clear ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", default="f32")
    args = parser.parse_args()
    engines = {
        name: load_engine(
            EngineSettings(weights=name, engine="openvino", precision=args.precision, threads=1)
        )
        for name in args.weights
    }
    for name, milliseconds in zip(engines, price(list(engines.values())), strict=True):
        print(f"{name}: {milliseconds:.2f} ms of a processor a reading")
    examples = [example for example in read(args.data, "validation").examples if example.has_face]
    video = {name: engine.spec.is_video for name, engine in engines.items()}
    for kind, spells in (("damaged", SPELLS), ("clear", 0.0)):
        films = film(examples, args.films, spells, args.seed)
        said = {name: listen(engine, films) for name, engine in engines.items()}
        print(
            f"\n{kind}, {len(films)} films: right, better by (95 %), right and changes a "
            "minute where nothing changes, delay"
        )
        for line in lines(films, said, video):
            print(line, flush=True)


if __name__ == "__main__":
    main()
