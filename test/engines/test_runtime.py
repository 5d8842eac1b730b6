# SPDX-License-Identifier: Apache-2.0
"""Nothing leaves the machine and nothing is written home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import caer_ros.engines.runtime

WATCHED = """
import sys
def watch(event, arguments):
    if event.startswith("socket.") or event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        print(event, arguments)
sys.addaudithook(watch)
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
pipeline = EmotionPipeline.from_settings(PipelineSettings())
pipeline.warm_up()
pipeline.close()
"""


def test_reading_emotions_looks_up_no_name_and_writes_nothing_home(tmp_path: Path) -> None:
    # CI keeps OpenVINO quiet by itself
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert written <= {"cache"}


def test_one_file_alone_imports_openvino() -> None:
    package = Path(caer_ros.engines.runtime.__file__).parents[1]
    importing = re.compile(r"^\s*(import|from) openvino\b", re.MULTILINE)
    files = [path.name for path in package.rglob("*.py") if importing.search(path.read_text())]
    assert files == ["runtime.py"]
