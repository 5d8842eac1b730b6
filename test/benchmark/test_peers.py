# SPDX-License-Identifier: Apache-2.0
"""`benchmarks/peers.py`, with a program of a few lines for a peer."""

from __future__ import annotations

import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from caer_ros.benchmark.interleaved import BenchmarkError

PEERS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "peers.py"))
PeerProgram = PEERS["PeerProgram"]

PEER = """
import json, sys
shape = json.loads(sys.stdin.buffer.readline())
data = sys.stdin.buffer.read(shape[0] * shape[1] * shape[2] * shape[3])
for line in sys.stdin.buffer:
    if data[0] == 255:
        sys.exit("white is too bright")
    print(json.dumps({"seconds": [0.25] * int(line), "faces": data[-1]}), flush=True)
"""


def test_another_program_gets_the_frames_and_answers(tmp_path: Path) -> None:
    frames = np.zeros((2, 3, 4, 3), np.uint8)
    frames[-1, -1, -1, -1] = 7
    peer = PeerProgram([sys.executable, "-c", PEER], frames, tmp_path / "log")
    assert peer.run(2) == [0.25, 0.25]
    assert peer.run(1) == [0.25]
    assert peer.faces == 7
    peer.close()


def test_another_program_that_ends_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    frames = np.full((1, 2, 2, 3), 255, np.uint8)
    peer = PeerProgram([sys.executable, "-c", PEER], frames, tmp_path / "log")
    with pytest.raises(BenchmarkError, match="white is too bright"):
        peer.run(1)
    peer.close()


def test_a_program_is_installed_into_its_own_folder_with_what_is_listed_only(
    tmp_path: Path,
) -> None:
    need = _wheel(tmp_path, "needed", "")
    program = _wheel(tmp_path, "program", "Requires-Dist: not-listed==7\n")
    packages = [f"program @ {program.as_uri()}", f"needed @ {need.as_uri()}"]
    python = PEERS["_install_python"](tmp_path / "peer", packages)
    assert python.is_relative_to(tmp_path / "peer")
    subprocess.run([python, "-c", "import program, needed"], check=True)
    (tmp_path / "peer" / "kept").touch()
    assert PEERS["_install_python"](tmp_path / "peer", packages) == python
    assert (tmp_path / "peer" / "kept").exists()


def _wheel(folder: Path, name: str, needs: str) -> Path:
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        about = f"{name}-1.dist-info"
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{needs}"
        )
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return path


def test_a_peer_is_installed_anew_when_its_pins_change(tmp_path: Path) -> None:
    is_new = PEERS["_is_new"]
    assert is_new(tmp_path, ("fer==1", "numpy==2"))
    (tmp_path / PEERS["READY"]).write_text('["fer==1", "numpy==2"]')
    assert not is_new(tmp_path, ("fer==1", "numpy==2"))
    assert is_new(tmp_path, ("fer==2", "numpy==2"))
