# SPDX-License-Identifier: Apache-2.0
"""Message packages of others, generated from their definitions: what PyPI does not have."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

CMAKE = """
cmake_minimum_required(VERSION 3.16)
project({name} LANGUAGES C CXX)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
foreach(dependency {dependencies})
  find_package(${{dependency}} REQUIRED)
endforeach()
# the wheels name include folders of the machine that built them, as in our CMakeLists.txt
get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target IN LISTS targets)
  get_target_property(folders ${{target}} INTERFACE_INCLUDE_DIRECTORIES)
  set(present)
  foreach(folder IN LISTS folders)
    if(folder MATCHES "\\\\$<" OR EXISTS "${{folder}}")
      list(APPEND present "${{folder}}")
    endif()
  endforeach()
  set_target_properties(${{target}} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${{present}}")
endforeach()
file(GLOB definitions RELATIVE ${{CMAKE_CURRENT_SOURCE_DIR}} msg/*.msg)
rosidl_generate_interfaces({name} ${{definitions}} DEPENDENCIES {dependencies})
ament_package()
"""

PACKAGE = """<?xml version="1.0"?>
<package format="3">
  <name>{name}</name>
  <version>0.0.0</version>
  <description>Generated for a test</description>
  <maintainer email="nobody@example.com">nobody</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  {depends}
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""


def generate(folder: Path, name: str, definitions: dict[str, str], dependencies: list[str]):
    """Build a message package below `folder`, load it here; return variables for other processes.

    definitions: the text of each message, by its name.
    """
    source, prefix = folder / name, folder / "prefix"
    (source / "msg").mkdir(parents=True)
    for message, text in definitions.items():
        (source / "msg" / f"{message}.msg").write_text(text)
    depends = "\n  ".join(f"<depend>{dependency}</depend>" for dependency in dependencies)
    (source / "package.xml").write_text(PACKAGE.format(name=name, depends=depends))
    listed = " ".join(dependencies)
    (source / "CMakeLists.txt").write_text(CMAKE.format(name=name, dependencies=listed))
    prefixes = os.pathsep.join(filter(None, [sys.prefix, os.environ.get("AMENT_PREFIX_PATH")]))
    environment = {**os.environ, "AMENT_PREFIX_PATH": prefixes}
    for command in (
        ["cmake", "-S", source, "-B", source / "build", f"-DCMAKE_INSTALL_PREFIX={prefix}",
         f"-DCMAKE_PREFIX_PATH={sys.prefix}", f"-DPython3_EXECUTABLE={sys.executable}",
         f"-DCMAKE_INSTALL_RPATH={prefix}/lib;{sys.prefix}/lib"],
        ["cmake", "--build", source / "build"],
        ["cmake", "--install", source / "build"],
    ):  # fmt: skip
        result = subprocess.run(
            list(map(str, command)), env=environment, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
    libraries = sorted((prefix / "lib").glob("*.so"))
    # each needs some of the others: what cannot be loaded yet can be in the next round
    for _ in libraries:
        for library in libraries:
            try:
                ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
            except OSError:
                continue
    modules = next(prefix.rglob(f"{name}/__init__.py")).parent.parent
    sys.path.append(str(modules))
    return {
        "PYTHONPATH": str(modules),
        "LD_LIBRARY_PATH": os.pathsep.join(
            filter(None, [str(prefix / "lib"), os.environ.get("LD_LIBRARY_PATH")])
        ),
        "AMENT_PREFIX_PATH": os.pathsep.join([str(prefix), prefixes]),
    }
