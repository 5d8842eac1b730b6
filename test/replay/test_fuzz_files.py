# SPDX-License-Identifier: Apache-2.0
"""Damaged bags and files that people write: each is read as far as it goes, or refused in words.

`python test/replay/test_fuzz_files.py bags 3000 [SEED]` runs as many as you like, `texts` too.
"""

from __future__ import annotations

import faulthandler
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from caer_ros.images import ImageError
from caer_ros.node_settings import load_settings
from caer_ros.paths import share_folder
from caer_ros.replay.bag import IMAGE, TYPES, Bag, BagError, image_to_cdr
from caer_ros.replay.expectations import ExpectationError, Expectations
from caer_ros.settings import SettingError, read_text
from caer_ros.types import SECOND

NUMBERS = (0, 1, 2**16, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)

EXPECTATIONS = """\
- {name: "somebody", between: [1, end], seen: at least 90 %}
- label: [sad, scared]
  for: at most 2 s
  person: p0001
- persons: at most 1
- {label_changes: below 4, between: [0.5, 6]}
- {latency_p95: at most 50 ms}
"""


def write_bags(folder: Path) -> list[Path]:
    """Write a small bag of every kind; return their storage files."""
    files = []
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    for storage, mode in (
        (StoragePlugin.MCAP, CompressionMode.NONE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.NONE),
    ):
        name = f"{storage.name}_{mode.name}"
        writer = Writer(folder / name, version=8, storage_plugin=storage)
        writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            connection = writer.add_connection("/image", IMAGE, typestore=TYPES)
            for i in range(3):
                cdr = image_to_cdr(pixels, (i + 1) * SECOND, "camera")[1]
                writer.write(connection, (i + 1) * SECOND, cdr)
        files += [file for file in (folder / name).iterdir() if file.suffix != ".yaml"]
    packed = folder / "packed.mcap.zstd"
    packed.write_bytes(zstandard.compress(files[0].read_bytes()))
    types = get_typestore(Stores.ROS1_NOETIC)
    stamp = types.types["builtin_interfaces/msg/Time"](sec=1, nanosec=0)
    header = types.types["std_msgs/msg/Header"](seq=0, stamp=stamp, frame_id="camera")
    image = types.types[IMAGE](header, 24, 32, "bgr8", 0, 96, pixels.reshape(-1))
    with Writer1(folder / "old.bag") as old:
        connection = old.add_connection("/image", IMAGE, typestore=types)
        for i in range(3):
            old.write(connection, (i + 1) * SECOND, types.serialize_ros1(image, IMAGE))
    return [*files, packed, folder / "old.bag"]


def damage(content: bytes, rng: random.Random) -> bytes:
    """Return `content` changed in one to three ways, mostly at its ends, where structure is."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        if rng.random() < 0.6:
            at = rng.choice((at % 600, max(0, len(data) - at % 600)))
        kind = rng.randrange(6)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            size = rng.choice((2, 4, 8))
            number = rng.choice(NUMBERS) % 2 ** (8 * size)
            data[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
        elif kind == 2:
            del data[at : at + rng.randrange(1, 200)]
        elif kind == 3:
            data[at:at] = data[at : at + rng.randrange(1, 200)]
        elif kind == 4:
            data[at : at + 64] = bytes(64)
        else:
            del data[at:]
    return bytes(data)


def read_bag(file: Path) -> str:
    """Read a bag as a replay does; return what came of it."""
    try:
        with Bag(file) as bag:
            for image in bag.images(bag.choose_topics()):
                try:
                    image.to_bgr(max_pixels=100_000)
                except ImageError:
                    pass
            return "damaged" if bag.warnings or bag.lost else "whole"
    except BagError as error:
        assert len(str(error)) < 4000
        return "refused"


def fuzz(count: int, seed: int, cases: list[tuple[str, bytes, Callable[[Path], str]]]) -> Counter:
    """Read so many damaged files; return how many of each outcome."""
    print(f"{count} files, seed {seed}", flush=True)
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            name, content, read = rng.choice(cases)
            file = Path(folder, name)
            file.write_bytes(damage(content, rng))
            try:
                outcomes[read(file)] += 1
            except BaseException:
                kept = Path(tempfile.gettempdir(), f"fuzz_{seed}_{number}_{name}")
                kept.write_bytes(file.read_bytes())
                print(f"seed {seed}, file {number}: {kept}")
                raise
    return outcomes


def bag_cases() -> list[tuple[str, bytes, Callable[[Path], str]]]:
    with tempfile.TemporaryDirectory() as folder:
        files = write_bags(Path(folder))
        return [(file.name, file.read_bytes(), read_bag) for file in files]


def read_expectations(file: Path) -> str:
    try:
        Expectations([("e.yaml", read_text(file))])
    except (ExpectationError, SettingError):
        return "refused"
    return "read"


def read_config(file: Path) -> str:
    try:
        load_settings(file)
    except SettingError:
        return "refused"
    return "read"


def text_cases() -> list[tuple[str, bytes, Callable[[Path], str]]]:
    config = (share_folder() / "config" / "caer.yaml").read_bytes()
    return [
        ("caer.yaml", config, read_config),
        ("expect.yaml", EXPECTATIONS.encode(), read_expectations),
    ]


def test_the_files_are_good_before_they_are_damaged(tmp_path):
    for file in write_bags(tmp_path):
        assert read_bag(file) == "whole", file
    for name, content, read in text_cases():
        (tmp_path / name).write_bytes(content)
        assert read(tmp_path / name) == "read"


def test_damaged_bags_are_read_or_refused():
    outcomes = fuzz(400, 1, bag_cases())

    # the damage is neither too much nor too little
    assert min(outcomes[name] for name in ("whole", "damaged", "refused")) > 20


def test_damaged_texts_are_read_or_refused():
    outcomes = fuzz(400, 1, text_cases())

    assert min(outcomes[name] for name in ("read", "refused")) > 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("cases", "count"), [(bag_cases, 10_000), (text_cases, 10_000)])
def test_many_damaged_files_are_read_or_refused(cases, count):
    fuzz(count, time.time_ns(), cases())


if __name__ == "__main__":
    faulthandler.enable()
    # what a file claims must not cost memory
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
    chosen = {"bags": bag_cases, "texts": text_cases}[sys.argv[1]]()
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else time.time_ns()
    print(fuzz(int(sys.argv[2]), seed, chosen))
