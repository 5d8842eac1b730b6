# SPDX-License-Identifier: Apache-2.0
"""Build the ROS package with CMake and hand what it installs to pip.

`CMakeLists.txt` says what is installed and where; colcon runs it as it is (build type
`ament_cmake`), and this file runs it for `pip install --no-build-isolation .` in an environment
that holds the ROS wheels. `build/` is kept, so that a second run only does what changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
PREFIXES = [sys.prefix, *filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))]
"""Where ROS's CMake code looks packages up: in the ament index of these."""

PLUGIN = "caer_ros.replay.pytest_plugin"


def pins(file: str) -> list[str]:
    """Return what a file of `requirements/` names, with the files it includes."""
    found = []
    for line in (ROOT / "requirements" / file).read_text().splitlines():
        if line.startswith("-r "):
            found += pins(line.split()[1])
        elif line and not line.startswith("#"):
            found.append(line)
    return found


class CMakeBuild(build_ext):
    """Configure, build and install into a stage; sort that into modules and data files."""

    def run(self) -> None:
        if not any(Path(prefix, "share", "ament_cmake").is_dir() for prefix in PREFIXES):
            sys.exit(
                f"caer_ros is built with ROS's CMake packages, and {sys.prefix} has none. In a "
                "clone run `make setup`; or `pip install --no-deps` what requirements/"
                "ros-kilted.txt and base.txt list, then `pip install --no-build-isolation .`; or "
                "on an apt ROS, build with colcon."
            )
        if not find_spec("catkin_pkg"):
            sys.exit(
                "pip hides this environment's ROS packages from the build: "
                "`pip install --no-build-isolation .`"
            )
        # the CMake cache holds paths of the environment, so each has a folder of its own
        environment_id = hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]
        build = ROOT / "build" / f"pip-{sys.implementation.cache_tag}-{environment_id}"
        stage = build / "stage"
        shutil.rmtree(stage, ignore_errors=True)
        cmake = [
            ["-S", ROOT, "-B", build, f"-DCMAKE_INSTALL_PREFIX={stage}",
             f"-DCMAKE_PREFIX_PATH={sys.prefix}", f"-DPython3_EXECUTABLE={sys.executable}",
             "-DBUILD_TESTING=OFF"],
            ["--build", build, "--parallel", os.cpu_count() or 1],
            ["--install", build],
        ]  # fmt: skip
        environment = {**os.environ, "AMENT_PREFIX_PATH": os.pathsep.join(PREFIXES)}
        for arguments in cmake:
            subprocess.run(["cmake", *map(str, arguments)], env=environment, check=True)

        modules = stage / Path(sysconfig.get_path("platlib")).relative_to(sys.prefix)
        package = Path(self.build_lib) / "caer_ros"
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(
            modules / "caer_ros", package, ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.rmtree(modules)
        files: dict[str, list[str]] = {}
        for path in sorted(stage.rglob("*")):
            if path.is_file():
                folder = path.parent.relative_to(stage)
                files.setdefault(str(folder), []).append(str(path.relative_to(ROOT)))
        self.distribution.data_files = list(files.items())


setup(
    name="caer_ros",
    version=re.findall("<version>(.+)</version>", (ROOT / "package.xml").read_text())[0],
    packages=[],  # CMake installs them
    ext_modules=[Extension("caer_ros", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    extras_require={
        Path(file).stem: pins(file) for file in ("train.in", "int8.in", "gpu.in", "ray.in")
    },
    # named as the module, so that a conftest.py may name it too
    entry_points={"pytest11": [f"{PLUGIN} = {PLUGIN}"]},
)
