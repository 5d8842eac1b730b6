# SPDX-License-Identifier: Apache-2.0
"""The package's Fast DDS profile, under the name that the installed Fast DDS reads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from caer_ros.paths import share_folder


def profile_variable() -> tuple[str, str]:
    """Return name and value of the environment variable that gives Fast DDS our profile.

    Under it camera images pass through shared memory. Fast DDS 2 (Humble, Jazzy) is installed as
    `fastrtps` and reads one name only; version 3 warns of that name and reads another. The wheels
    of neither set ROS_DISTRO.
    """
    name = "FASTDDS_DEFAULT_PROFILES_FILE"
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    for share in (Path(prefix, "share") for prefix in prefixes if prefix):
        if (share / "fastdds").is_dir():
            break
        if (share / "fastrtps").is_dir():
            name = "FASTRTPS_DEFAULT_PROFILES_FILE"
            break
    return name, str(share_folder() / "config" / "fastdds.xml")
