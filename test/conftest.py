# SPDX-License-Identifier: Apache-2.0
"""What tests of several rooms share."""

import signal

import hypothesis
import pytest

from caer_ros.demo.material import fetch_material
from caer_ros.paths import share_folder

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


@pytest.fixture(scope="session")
def environment():
    """Return the prefix that the package under test is installed in, by pip or by colcon."""
    return str(share_folder().parents[1])
