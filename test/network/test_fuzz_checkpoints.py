# SPDX-License-Identifier: Apache-2.0
"""Damaged checkpoints: each is a network of finite numbers, or refused in words.

`python test/network/test_fuzz_checkpoints.py 20000 [SEED]` runs as many as you like.
"""

from __future__ import annotations

import faulthandler
import json
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec, WeightsError, read_spec

VALUES = (
    "", "null", "5", "-1", "1e400", "NaN", "true", '"both"', '"caer_net"', "[]", "[1, 2, 3]",
    '[0.1, 0.2, "x"]', "{}", '{"a": [1]}', "[" * 5000, "99999999999999999999", "0.0", '"\\u0000"',
)  # fmt: skip
"""What metadata may say instead; all of it JSON or nearly."""


def damage(content: bytes, rng: random.Random) -> bytes:
    """Return a safetensors file with another value in its metadata, or other bytes."""
    (length,) = struct.unpack_from("<Q", content)
    header, tensors = content[8 : 8 + length], bytearray(content[8 + length :])
    kind = rng.randrange(5)
    if kind < 2:
        fields = json.loads(header)
        metadata = fields["__metadata__"]
        for _ in range(rng.randint(1, 2)):
            name = rng.choice([*metadata, "more"])
            metadata[name] = rng.choice([*VALUES, metadata.get(rng.choice([*metadata]))])
            if rng.random() < 0.2:
                del metadata[name]
        header = json.dumps(fields).encode()
        return struct.pack("<Q", len(header)) + header + tensors
    if kind == 2:
        at = rng.randrange(len(header))
        return content[: 8 + at] + bytes([rng.randrange(256)]) + content[9 + at :]
    if kind == 3:
        at = rng.randrange(len(tensors))
        # of halves: ones with all bits of the exponent set are no numbers
        tensors[at : at + 2] = rng.choice((b"\x00\x7c", b"\xff\xff", rng.randbytes(2)))
        return content[: 8 + length] + bytes(tensors[: len(content) - 8 - length])
    number = rng.choice((0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1))
    return struct.pack("<Q", number) + content[8:]


def read(path: Path) -> str:
    try:
        spec = read_spec(path)
        model = load_checkpoint(path)
    except WeightsError as error:
        assert len(str(error)) < 60_000
        return "refused"
    assert model.spec == spec
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    assert all(isinstance(text, str) for item in spec.provenance.items() for text in item)
    return "read"


def fuzz(count: int, seed: int) -> Counter[str]:
    """Read so many damaged checkpoints; return how many of each outcome."""
    print(f"{count} checkpoints, seed {seed}", flush=True)
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.safetensors")
        save_checkpoint(CaerNet(NetworkSpec(streams="face", provenance={"seed": "7"})), path)
        content = path.read_bytes()
        for number in range(count):
            path.write_bytes(damage(content, rng))
            try:
                outcomes[read(path)] += 1
            except BaseException:
                kept = Path(tempfile.gettempdir(), f"fuzz_{seed}_{number}.safetensors")
                kept.write_bytes(path.read_bytes())
                print(f"seed {seed}, checkpoint {number}: {kept}")
                raise
    return outcomes


def test_damaged_checkpoints_are_read_or_refused():
    outcomes = fuzz(150, 1)

    assert min(outcomes[name] for name in ("read", "refused")) > 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_damaged_checkpoints_are_read_or_refused():
    fuzz(5_000, time.time_ns())


if __name__ == "__main__":
    faulthandler.enable()
    print(fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()))
