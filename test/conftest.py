"""What tests of several rooms share."""

import sys

import pytest

from caer_ros.demo.material import fetch_material


@pytest.fixture(scope="session")
def material():
    """Return the folder of the demo's pictures (real people; downloaded once per user)."""
    return fetch_material()


@pytest.fixture(scope="session")
def environment():
    """Return the prefix of the environment that the package under test is installed in."""
    return sys.prefix
