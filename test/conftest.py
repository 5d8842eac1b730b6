# SPDX-License-Identifier: Apache-2.0
"""What tests of several rooms share."""

import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

from caer_ros.demo.material import fetch_material

# the same examples on every machine, and none that fails for being slow (apt's hypothesis has no
# profile "ci" yet)
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile(
    "caer", derandomize=True, deadline=None, suppress_health_check=SLOW
)
hypothesis.settings.load_profile("caer")

# shells start background jobs deaf to Ctrl-C, and what tests start would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def material():
    """Return the folder of the demo's pictures (real people; downloaded once per user)."""
    return fetch_material()


PREFIX = next(
    Path(prefix)
    for prefix in (*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix)
    if Path(prefix, "share", "caer_ros", "package.xml").is_file()
)
"""Where the package under test is installed, by colcon or by pip."""


@pytest.fixture(scope="session")
def environment():
    return str(PREFIX)
